"""Everything that files in rules/ declare for the warehouse, as rows of raw tables.

Reading one file is its reader's work: `goals`, `rates`, `bots`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huntaze_pipeline.errors import ModelError, Problem
from huntaze_pipeline.warehouse import bots, goals, rates


def load(rules_dir: Path) -> dict[str, Sequence[Sequence[Any]]]:
    """Read goals, rates and signs of machines: rows by the name of their table in `raw.DECLARED`.

    Raises:
        ModelError: files hold faults; all faults of all files, with line and column.
    """
    problems: list[Problem] = []
    found: dict[str, Sequence[Sequence[Any]]] = {}
    readers = (
        lambda: goals.declared(rules_dir).tables,
        lambda: {"rates": rates.load(rules_dir)},
        lambda: {"bots": bots.load(rules_dir)},
    )
    for read in readers:
        try:
            found |= read()
        except ModelError as error:
            problems += error.problems
    if problems:
        raise ModelError(problems)
    return found

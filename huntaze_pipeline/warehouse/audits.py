"""Audits over finished tables: questions whose answers are bad rows; a model's own: `contract`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
from duckdb import DuckDBPyConnection

from huntaze_pipeline.errors import ModelError, Problem
from huntaze_pipeline.warehouse import contract, lake
from huntaze_pipeline.warehouse.models import Audit

_SAMPLE = 3


@dataclass(frozen=True, slots=True)
class Audited:
    """What an audit found."""

    name: str
    severity: str
    bad: int
    sample: tuple[dict[str, Any], ...]


def run(con: DuckDBPyConnection, audits: Sequence[Audit]) -> list[Audited]:
    """Run audits; each returns how many bad rows there are and some of them, and keeps the rest.

    Raises:
        ModelError: an audit's SQL does not run.
    """
    return [_audited(con, item) for item in audits]


def _audited(con: DuckDBPyConnection, item: Audit) -> Audited:
    try:
        bad = contract.rows(con, item.sql)
    except duckdb.Error as error:
        raise ModelError([Problem(f"{item.path}", lake.line(error))]) from None
    contract.keep(con, item.name, item.header.severity, bad)
    return Audited(item.name, item.header.severity, len(bad), tuple(bad[:_SAMPLE]))

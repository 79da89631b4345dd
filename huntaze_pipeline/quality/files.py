"""A file as a batch of a suite: its columns cast to the types that the suite declares.

What cannot be cast is itself a result, so that a word in a column of numbers is told with its rows
and not by a crash. Mappings of foreign files are `events.mapping`'s; here names must be ours.
"""

from pathlib import Path

import duckdb
from duckdb import DuckDBPyConnection

from huntaze_pipeline.errors import ImportFileError, ModelError, Problem
from huntaze_pipeline.quality import results
from huntaze_pipeline.quality.results import Result
from huntaze_pipeline.quality.suite import Suite
from huntaze_pipeline.quality.vocabulary import literal
from huntaze_pipeline.sql import identifier

READERS = {
    ".csv": "read_csv({}, all_varchar = true, header = true)",
    ".tsv": "read_csv({}, all_varchar = true, header = true)",
    ".parquet": "read_parquet({})",
    ".jsonl": "read_json({}, format = 'newline_delimited')",
    ".ndjson": "read_json({}, format = 'newline_delimited')",
}


_HINT = (
    "the suite {suite} judges a batch in the columns that we keep it in; a file with columns of its"
    " own meets it as `huntaze ingest --mapping` takes it in, and what breaks it is quarantined"
)


def table(con: DuckDBPyConnection, path: Path, suite: Suite) -> list[Result]:
    """Make the table `batch` of a file; return one result for each column that it lacks or spoils.

    Raises:
        ImportFileError: it cannot be read, or its name ends in nothing that can be.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(READERS)
        raise ImportFileError([Problem(str(path), f"has no known ending; one of {known}")])
    try:
        con.execute(f"create or replace temp table given as from {reader.format(literal(path))}")
    except duckdb.Error as error:
        reason = str(error).strip().splitlines()[0]
        raise ImportFileError([Problem(str(path), f"cannot be read: {reason}")]) from None
    has = {str(row[0]) for row in con.execute("describe given").fetchall()}
    lacking = [name for name in suite.columns if name not in has]
    if lacking:
        faults = [Problem(str(path), f"has no column {name}") for name in lacking]
        raise ModelError([*faults, Problem(str(path), _HINT.format(suite=suite.name))])
    casts = ", ".join(f"try_cast({_given(n, k)} as {k}) as {identifier(n)}"
                      for n, k in suite.columns.items())  # fmt: skip
    con.execute(f"create or replace temp table batch as select {casts} from given")
    return [_spoilt(con, name, kind) for name, kind in suite.columns.items()]


def _given(name: str, kind: str) -> str:
    """SQL for a value of the file; an empty text is none, as in any CSV."""
    column = identifier(name)
    return column if kind == "VARCHAR" else f"nullif(trim(cast({column} as varchar)), '')"


def _spoilt(con: DuckDBPyConnection, name: str, kind: str) -> Result:
    value = _given(name, kind)
    bad = f"{value} is not null and try_cast({value} as {kind}) is null"
    row = con.execute(
        f"select count(*), count(*) filter ({bad}),"
        f" min(distinct cast({value} as varchar), {results.EXAMPLES}) filter ({bad}) from given"
    ).fetchone() or (0, 0, [])
    return Result(
        f"column {name} is {kind}", name, "error", not row[1], int(row[0]), int(row[1]),
        tuple(str(v)[:80] for v in row[2] or ()),
    )  # fmt: skip

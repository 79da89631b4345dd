"""What a model promised in its header, held against what it made: columns, grain, numbers, audits.

Every check returns faults in words; whether a fault stops a build is `runner`'s decision.
"""

import json
from collections.abc import Sequence
from typing import Any

import sqlglot
from duckdb import DuckDBPyConnection
from sqlglot import exp
from sqlglot.errors import ParseError

from huntaze_pipeline.sql import quoted
from huntaze_pipeline.warehouse import lake
from huntaze_pipeline.warehouse.models import Model

_ALIASES = {"TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE", "TEXT": "VARCHAR", "BOOL": "BOOLEAN"}
_FLOATS = ("DOUBLE", "FLOAT", "REAL")
KEPT = 1000
"""Bad rows that are kept for people to look at."""


def shape(con: DuckDBPyConnection, relation: str) -> list[tuple[str, str]]:
    """Return names and types of a relation's columns; plans it and runs nothing."""
    rows = con.execute(f"describe select * from {relation}").fetchall()
    return [(str(row[0]), str(row[1])) for row in rows]


def columns(con: DuckDBPyConnection, model: Model) -> list[str]:
    """Compare the columns of the SELECT with the header, all differences at once."""
    has = dict(shape(con, f"({model.sql})"))
    wants = promised(model)
    faults = [f"column {name} is missing" for name in wants if name not in has]
    faults += [f"column {name} is not in the header" for name in has if name not in wants]
    faults += [
        f"column {name} is {has[name]}, the header says {kind}"
        for name, kind in wants.items()
        if name in has and has[name] != kind
    ]
    return faults


def promised(model: Model) -> dict[str, str]:
    """Return the columns of the header with their types as the engine names them."""
    return {c.name: _ALIASES.get(c.type, c.type) for c in model.columns}


def grain(con: DuckDBPyConnection, model: Model, relation: str) -> list[str]:
    """Look for rows without a part of their grain, and for two rows of the same."""
    if not model.header.grain:
        return []
    lost = _lost(con, model, relation)
    if lost or grouped(model):
        return lost
    names = ", ".join(model.header.grain)
    counts = con.execute(
        f"select count(*), count(distinct hash({names})) from {relation}"
    ).fetchone()
    if counts is None or counts[0] == counts[1]:
        return []
    twice = con.execute(
        f"select {names}, count(*) as times from {relation} group by {names}"
        " having count(*) > 1 limit 1"
    ).fetchone()
    if twice is None:
        return []
    key = ", ".join(f"{n}={v!r}" for n, v in zip(model.header.grain, twice, strict=False))
    return [f"grain ({names}) is not unique: {key}, {twice[-1]} times"]


def _lost(con: DuckDBPyConnection, model: Model, relation: str) -> list[str]:
    """Look for NULL in the columns that name a row: such a row has no name."""
    names = [name for name in model.header.grain if name not in model.header.optional]
    lost = _counted(con, relation, {name: f"count(*) - count({name})" for name in names})
    return [
        f"grain: column {name} is NULL in {rows} rows (where NULL is meant: `optional: [{name}]`)"
        for name, rows in lost.items()
    ]


def _counted(con: DuckDBPyConnection, relation: str, wrong: dict[str, str]) -> dict[str, int]:
    """Count the wrong rows of each column in one pass; columns that have none are left out."""
    if not wrong:
        return {}
    counts = con.execute(f"select {', '.join(wrong.values())} from {relation}").fetchone() or ()
    return {name: count for name, count in zip(wrong, counts, strict=True) if count}


def grouped(model: Model) -> bool:
    """Say whether the SELECT groups by its grain: then no row can be there twice, by its form."""
    try:
        query = sqlglot.parse_one(model.sql, read="duckdb")
    except ParseError:
        return False
    group = query.args.get("group") if isinstance(query, exp.Select) else None
    if group is None or group.args.get("all"):
        return False
    names = {e.name for e in group.expressions if isinstance(e, exp.Column)}
    selected = {e.alias_or_name for e in query.expressions if isinstance(e, exp.Column)}
    return len(names) == len(group.expressions) and names == set(model.header.grain) & selected


def numbers(con: DuckDBPyConnection, model: Model, relation: str) -> list[str]:
    """Look for infinity and not-a-number: what a division by zero leaves behind."""
    floats = [column.name for column in model.columns if column.type in _FLOATS]
    wrong = {name: f'count(*) filter (not isfinite("{name}"))' for name in floats}
    return [
        f"column {name} is no finite number in {rows} rows: was it divided by zero? (nullif(x, 0))"
        for name, rows in _counted(con, relation, wrong).items()
    ]


def audits(con: DuckDBPyConnection, model: Model, relation: str) -> dict[str, list[dict[str, Any]]]:
    """Run the header's own audits on new rows; return the bad rows of each that found some."""
    failed = {}
    for name, sql in model.header.audits.items():
        bad = rows(con, f"with this as (from {relation}) {sql}")
        if bad:
            failed[name] = bad
    return failed


def rows(con: DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    """Run a query; return its rows by column name."""
    relation = con.execute(query)
    names = [str(column[0]) for column in relation.description or ()]
    return [dict(zip(names, row, strict=True)) for row in relation.fetchall()]


def keep(con: DuckDBPyConnection, name: str, severity: str, bad: Sequence[dict[str, Any]]) -> None:
    """Replace the bad rows that are kept of an audit; in a transaction of its own."""
    mine = f"audit = {quoted(name)}"
    had = con.execute(f"select 1 from lake.audits.failures where {mine} limit 1").fetchone()
    if not bad and had is None:
        return
    values = ", ".join(
        f"({quoted(name)}, {quoted(severity)}, {len(bad)}, {number},"
        f" {quoted(json.dumps(row, default=str))})"
        for number, row in enumerate(bad[:KEPT], 1)
    )

    def replace() -> None:
        con.execute(f"delete from lake.audits.failures where {mine}")
        if values:
            con.execute(f"insert into lake.audits.failures values {values}")

    lake.write(con, replace)

"""Copies of the operational tables in the lake, brought up to date by what changed.

Large tables carry the transaction that last wrote each row (`tx`, kept by a trigger): only rows of
transactions that ended since the last time are read. Small ones are read whole and compared. Only
rows that differ are written, so that a model over a copy has something to do only when there is
something new. Which tables and columns there are is said in `raw`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from duckdb import DuckDBPyConnection

from huntaze_pipeline.warehouse import lake, raw


@dataclass(frozen=True, slots=True)
class Followed:
    """A large table: what names a row, and a time of it that does not change."""

    key: tuple[str, ...]
    near: str | None = None
    until: str = "false"
    """Copies of which that time may change once all the same."""


FOLLOWED = {
    "messages": Followed(("creator_id", "id"), "decided_at", until="state = 'held'"),
    "attempts": Followed(("creator_id", "message_id", "fence"), "intent_at"),
    "executions": Followed(("creator_id", "id"), "entered_at"),
    "members": Followed(("creator_id", "segment_id", "fan_id", "entered_at"), "entered_at"),
    "fans": Followed(("creator_id", "id"), "created_at"),
    "identities": Followed(("creator_id", "fan_id", "platform", "account_id")),
    "consents": Followed(("creator_id", "fan_id", "topic")),
}
"""Rows of these are never deleted while the product runs; a whole refresh finds even that."""


def refresh(
    con: DuckDBPyConnection,
    now: datetime,
    declared: Mapping[str, Sequence[Sequence[Any]]],
    *,
    whole: bool = False,
) -> None:
    """Bring the copies, the clock and what is declared up to date; call it inside `lake.write`.

    Args:
        con: the lake, with PostgreSQL attached as `ops`.
        now: becomes the only clock that models may read.
        declared: rows of what files in rules/ declare, by table; see `declarations`.
        whole: compare the large tables whole too.
    """
    for table in raw.COPIES:
        if table in FOLLOWED and not whole:
            _follow(con, table, FOLLOWED[table])
        else:
            same(con, f"raw.{table}", _copied(table))
    # Literals, not parameters: binding one makes DuckDB import pandas, a second each process.
    same(con, "raw.clock", f"select timestamptz '{now.isoformat()}' as as_of")
    raw.declare(con, declared, "lake.raw.")


def same(con: DuckDBPyConnection, table: str, query: str) -> bool:
    """Make a table hold exactly the rows of a query; return whether anything had to change."""
    columns = ", ".join(f'"{name}"' for name in raw.TABLES[table.removeprefix("raw.")])
    con.execute(f"create or replace temp table _wanted as select {columns} from ({query})")
    old = f"select {columns} from lake.{table}"
    con.execute(f"create or replace temp table _less as {old} except all from _wanted")
    con.execute(f"create or replace temp table _more as from _wanted except all {old}")
    less, more = (
        (con.execute(f"select count(*) from {name}").fetchone() or (0,))[0]
        for name in ("_less", "_more")
    )
    if less:
        names = raw.TABLES[table.removeprefix("raw.")]
        equal = " and ".join(f"t.{n} is not distinct from g.{n}" for n in names)
        con.execute(f"delete from lake.{table} t using _less g where {equal}")
        # Rows that were there more than once went with their twin: bring back those that stay.
        twins = f"from _wanted w semi join _less g on {equal.replace('t.', 'w.')}"
        con.execute(f"insert into lake.{table} ({columns}) select {columns} {twins}")
    if more:
        con.execute(f"insert into lake.{table} ({columns}) select {columns} from _more")
    return bool(less or more)


def _follow(con: DuckDBPyConnection, table: str, how: Followed) -> None:
    """Take over the rows of a large table that ended transactions wrote since the last time."""
    after = _position(con, table)
    remote = ", ".join(_read(n, k) for n, k in raw.COPIES[table].items())
    query = lake.quoted(
        f"select {remote}, pg_snapshot_xmin(pg_current_snapshot())::text::bigint as horizon"
        f" from public.{table} where tx >= {after}"
        " and tx < pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
    )
    columns = ", ".join(f'"{name}"' for name in raw.COPIES[table])
    con.execute(
        f"create or replace temp table _rows as select * from postgres_query('ops', {query})"
    )
    upto = con.execute("select max(horizon), count(*) from _rows").fetchone() or (None, 0)
    if not upto[1]:
        return
    there = " and ".join(f"lake.raw.{table}.{n} = r.{n}" for n in how.key)
    con.execute(f"delete from lake.raw.{table} using _rows r where {there}{_near(con, table, how)}")
    casts = ", ".join(f'cast("{n}" as {k}) as "{n}"' for n, k in raw.COPIES[table].items())
    order = f" order by {how.near}" if how.near else ""
    con.execute(f"insert into lake.raw.{table} ({columns}) select {casts} from _rows{order}")
    con.execute(f"delete from lake.raw.cursors where name = 'mirror.{table}'")
    con.execute(f"insert into lake.raw.cursors values ('mirror.{table}', {upto[0]}, 0)")


def _near(con: DuckDBPyConnection, table: str, how: Followed) -> str:
    """Narrow the search for rows that are there to the time of those that come.

    A message that waited for a test's winner is decided again: its copy is of another time.
    """
    if how.near is None:
        return ""
    row = con.execute(
        f"select min({how.near}), max({how.near}) from (select {how.near} from _rows"
        f" union all select {how.near} from lake.raw.{table} where {how.until})"
    ).fetchone()
    if row is None or row[0] is None:
        return ""
    column = f"lake.raw.{table}.{how.near}"
    return f" and {column} between timestamptz '{row[0]}' and timestamptz '{row[1]}'"


def _position(con: DuckDBPyConnection, table: str) -> int:
    row = con.execute(f"select tx from lake.raw.cursors where name = 'mirror.{table}'").fetchone()
    return int(row[0]) if row else 0


def _read(name: str, kind: str) -> str:
    """JSON columns come as text; the rest has a type of its own in DuckDB."""
    return f'"{name}"::text as "{name}"' if kind == "VARCHAR" else f'"{name}"'


def _copied(table: str) -> str:
    casts = ", ".join(f'cast("{n}" as {k}) as "{n}"' for n, k in raw.COPIES[table].items())
    return f"select {casts} from ops.public.{table}"

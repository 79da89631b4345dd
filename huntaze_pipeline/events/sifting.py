"""The gate on what comes in: rows that break the suite are held back, the rest goes on.

A file's rows are sifted as they are staged and quarantined with the import's receipt. The inbox's
are written to the quarantine *before* the reader's position moves: a crash in between repeats the
batch, and a row that is in the quarantine stays there, whatever the suite says by then.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from duckdb import DuckDBPyConnection
from sqlalchemy import Connection, text

from huntaze_pipeline.events.mapping import Mapping
from huntaze_pipeline.quality import history, sieve, suite
from huntaze_pipeline.quality.sieve import BROKEN, Holding
from huntaze_pipeline.quality.suite import Suite
from huntaze_pipeline.sql import identifier, quoted
from huntaze_pipeline.store.session import Store

INBOX = "inbox"
"""Stands for the import's id and the file in the quarantine; the row is the inbox row's id."""
KEY = ("creator_id", "event_id")
_SUITES = {"audience": "events"}
_CHUNK = 5_000
_HOLD = """
insert into quarantine (creator_id, import_id, file, "row", field, reason, raw)
select x.creator_id, 'inbox', 'inbox', x."row", x.field, x.reason, x.raw
from jsonb_to_recordset(cast(:rows as jsonb)) as x(
    creator_id text, "row" bigint, field text, reason text, raw jsonb)
join creators c on c.id = x.creator_id
on conflict do nothing
"""
_THERE = """
select "row" from quarantine where import_id = 'inbox' and "row" between :low and :high
"""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a staged row does not say of itself."""

    creator_id: str
    received_at: datetime
    source: str


def standard(mapping: Mapping) -> Suite:
    """Return the suite that is in force for an import of this kind."""
    return suite.active(_SUITES.get(mapping.kind, mapping.kind))


def staged(con: DuckDBPyConnection, table: str, given: Suite, arrival: Arrival) -> Holding:
    """Fill `_held` with the source rows behind what breaks the suite; nothing is deleted here."""
    relation = _relation(con, table, given, arrival)
    counts = sieve.broken(con, relation, given.resolved({"now": arrival.received_at}), "_row")
    if counts.rows:
        con.execute(
            "insert into _held select key, string_agg(distinct field, ', '),"
            f" string_agg(distinct reason, '; ') from {BROKEN} group by key"
        )
    return counts


def inbox(store: Store, con: DuckDBPyConnection, given: Suite | None = None) -> int:
    """Sift the temporary table `pulled` of inbox rows; return how many were held back.

    Held rows leave the table and are in the quarantine, committed, when this returns. Repeating it
    on the same rows writes nothing more.
    """
    asked = given or suite.active("events")
    counts = sieve.broken(con, "pulled", asked.resolved({}), "id")
    known = _known(store, con)
    if counts.rows:
        rows = _documents(con)
        with store.worker() as connection:
            hold(connection, rows)
    _record(store, con, asked, counts)
    if counts.rows or known:
        con.execute("create or replace temp table _gone (id bigint)")
        con.execute(f"insert into _gone select key from {BROKEN}")
        for start in range(0, len(known), _CHUNK):
            listed = ", ".join(f"({row})" for row in known[start : start + _CHUNK])
            con.execute(f"insert into _gone values {listed}")
        con.execute("delete from pulled where id in (select id from _gone)")
        (gone,) = con.execute("select count(distinct id) from _gone").fetchone() or (0,)
        return int(gone)
    return 0


def hold(connection: Connection, rows: list[dict[str, Any]]) -> None:
    """Write inbox rows to the quarantine; one that is there already is left as it is."""
    for start in range(0, len(rows), _CHUNK):
        connection.execute(text(_HOLD), {"rows": json.dumps(rows[start : start + _CHUNK])})


def _known(store: Store, con: DuckDBPyConnection) -> list[int]:
    """Return which of the pulled rows the quarantine has already, open or closed."""
    low, high = con.execute("select min(id), max(id) from pulled").fetchone() or (None, None)
    if low is None:
        return []
    with store.worker() as connection:
        rows = connection.execute(text(_THERE), {"low": low, "high": high})
        return [int(row[0]) for row in rows]


def _documents(con: DuckDBPyConnection) -> list[dict[str, Any]]:
    names = [str(row[0]) for row in con.execute("describe pulled").fetchall()]
    pairs = ", ".join(
        f"{quoted(name)}, {_plain(name)}" for name in names if name not in ("tx", "id")
    )
    rows = con.execute(
        f"select p.creator_id, p.id, b.field, b.reason, cast(json_object({pairs}) as varchar)"
        f" from {BROKEN} b join pulled p on p.id = b.key order by p.id"
    ).fetchall()
    return [
        {"creator_id": creator, "row": row, "field": field, "reason": reason,
         "raw": json.loads(raw)}
        for creator, row, field, reason, raw in rows
    ]  # fmt: skip


def _plain(name: str) -> str:
    """SQL for a column as JSON holds it: instants in ISO form, documents as documents."""
    column = f"p.{identifier(name)}"
    if name.endswith("_at"):
        return f"strftime({column}, '%Y-%m-%dT%H:%M:%S.%fZ')"
    return f"cast({column} as json)" if name == "properties" else column


def _record(store: Store, con: DuckDBPyConnection, asked: Suite, holding: Holding) -> None:
    row = con.execute("select count(*), max(tx), max(id), max(received_at) from pulled").fetchone()
    if row is None or not row[0]:
        return
    about = history.Subject(None, asked.name, f"{INBOX}:{row[1]}:{row[2]}", "gate")
    with store.worker() as connection:
        history.keep(connection, about, history.held(asked, holding, int(row[0])), row[3])


def _relation(con: DuckDBPyConnection, table: str, given: Suite, arrival: Arrival) -> str:
    """Return the staged rows under the suite's names; what a file never says is added."""
    has = {str(row[0]) for row in con.execute(f"describe {table}").fetchall()}
    fixed = {
        "creator_id": quoted(arrival.creator_id),
        "received_at": f"timestamptz {quoted(arrival.received_at.isoformat())}",
        "source": quoted(arrival.source),
    }
    parts = ["_row"]
    for name, kind in given.columns.items():
        there = next((n for n in (name, f"r_{name}") if n in has), None)
        value = fixed.get(name) or (identifier(there) if there else f"cast(null as {kind})")
        parts.append(f"{value} as {identifier(name)}")
    return f"(select {', '.join(parts)} from {table})"

"""The raw tables of the lake: their columns, and the copies of the operational tables.

`raw.events` and `raw.lines` are written by imports and by `pull`; the others mirror PostgreSQL as
of the start of a build (`refresh`). Nothing is computed here.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from duckdb import DuckDBPyConnection

OWN: dict[str, dict[str, str]] = {
    "events": {
        "creator_id": "VARCHAR", "event_id": "VARCHAR", "name": "VARCHAR", "fan_id": "VARCHAR",
        "platform": "VARCHAR", "account_id": "VARCHAR", "campaign_id": "VARCHAR",
        "message_id": "VARCHAR", "value_micros": "BIGINT", "currency": "VARCHAR",
        "occurred_at": "TIMESTAMP WITH TIME ZONE", "received_at": "TIMESTAMP WITH TIME ZONE",
        "properties": "VARCHAR", "source": "VARCHAR", "arrival": "BIGINT",
        "message_at": "TIMESTAMP WITH TIME ZONE", "message_sent_at": "TIMESTAMP WITH TIME ZONE",
        "message_source": "VARCHAR", "message_source_id": "VARCHAR", "variant_id": "VARCHAR",
    },
    "lines": {
        "creator_id": "VARCHAR", "event_id": "VARCHAR", "line": "BIGINT", "item_id": "VARCHAR",
        "quantity": "DOUBLE", "value_micros": "BIGINT", "discount_micros": "BIGINT",
        "properties": "VARCHAR",
    },
    "cursors": {"name": "VARCHAR", "tx": "BIGINT", "id": "BIGINT"},
    "builds": {"model": "VARCHAR", "version": "VARCHAR", "snapshot": "BIGINT"},
    "clock": {"as_of": "TIMESTAMP WITH TIME ZONE"},
    "windows": {"goal": "VARCHAR", "platform": "VARCHAR", "touch": "VARCHAR", "seconds": "BIGINT"},
}  # fmt: skip
"""Tables that live in the lake only. `cursors.name`: a reader's position, or 'arrival'.

An event about a message of ours carries what never changes of that message (when it was decided,
by what, which arm) and when it had been sent as the event arrived: nothing has to look it up later.
"""

_TEXT = "VARCHAR"
_TIME = "TIMESTAMP WITH TIME ZONE"
COPIES: dict[str, dict[str, str]] = {
    "creators": {"id": _TEXT, "name": _TEXT, "zone": _TEXT, "currency": _TEXT, "created_at": _TIME},
    "accounts": {
        "creator_id": _TEXT, "id": _TEXT, "platform": _TEXT, "handle": _TEXT, "status": _TEXT,
        "limit_count": "INTEGER", "limit_window_s": "INTEGER", "created_at": _TIME,
    },
    "fans": {
        "creator_id": _TEXT, "id": _TEXT, "name": _TEXT, "zone": _TEXT, "locale": _TEXT,
        "birthday": "DATE", "subscribed_at": _TIME, "attributes": _TEXT, "tags": _TEXT,
        "created_at": _TIME, "updated_at": _TIME,
    },
    "identities": {
        "creator_id": _TEXT, "fan_id": _TEXT, "platform": _TEXT, "account_id": _TEXT,
        "last_inbound_at": _TIME,
    },
    "consents": {
        "creator_id": _TEXT, "fan_id": _TEXT, "topic": _TEXT, "granted": "BOOLEAN",
        "source": _TEXT, "changed_at": _TIME,
    },
    "campaigns": {
        "creator_id": _TEXT, "id": _TEXT, "name": _TEXT, "type": _TEXT, "status": _TEXT,
        "platforms": _TEXT, "template_id": _TEXT, "start_at": _TIME, "end_at": _TIME,
        "recurring": _TEXT, "targeting": _TEXT, "settings": _TEXT, "source": _TEXT,
        "created_at": _TIME, "updated_at": _TIME,
    },
    "variants": {
        "creator_id": _TEXT, "campaign_id": _TEXT, "id": _TEXT, "position": "INTEGER",
        "weight": "DOUBLE", "template_id": _TEXT,
    },
    "experiments": {
        "creator_id": _TEXT, "id": _TEXT, "campaign_id": _TEXT, "metric": _TEXT,
        "window_s": "INTEGER", "planned_n": "INTEGER", "alpha": "DOUBLE", "state": _TEXT,
        "share": "DOUBLE", "winner_variant_id": _TEXT, "fallback_variant_id": _TEXT,
        "started_at": _TIME, "decided_at": _TIME,
    },
    "allocations": {
        "creator_id": _TEXT, "campaign_id": _TEXT, "epoch": "INTEGER", "variant_id": _TEXT,
        "weight": "DOUBLE", "since": _TIME,
    },
    "messages": {
        "creator_id": _TEXT, "id": _TEXT, "source": _TEXT, "source_id": _TEXT, "fan_id": _TEXT,
        "step": "INTEGER", "occurrence": _TEXT, "platform": _TEXT, "account_id": _TEXT,
        "variant_id": _TEXT, "followed_variant_id": _TEXT, "template_id": _TEXT,
        "priority": _TEXT, "topic": _TEXT,
        "state": _TEXT, "reason": _TEXT, "attempts": "INTEGER", "decided_at": _TIME,
        "queued_at": _TIME, "sent_at": _TIME, "ended_at": _TIME,
    },
    "attempts": {
        "creator_id": _TEXT, "message_id": _TEXT, "fence": "BIGINT", "account_id": _TEXT,
        "intent_at": _TIME, "result_at": _TIME, "outcome": _TEXT, "status_code": "INTEGER",
    },
    "costs": {
        "creator_id": _TEXT, "id": _TEXT, "campaign_id": _TEXT, "kind": _TEXT,
        "amount_micros": "BIGINT", "currency": _TEXT, "incurred_at": _TIME, "source": _TEXT,
        "note": _TEXT,
    },
    "segments": {
        "creator_id": _TEXT, "id": _TEXT, "name": _TEXT, "is_dynamic": "BOOLEAN",
        "size": "BIGINT", "refreshed_at": _TIME,
    },
    "members": {
        "creator_id": _TEXT, "segment_id": _TEXT, "fan_id": _TEXT, "entered_at": _TIME,
        "left_at": _TIME,
    },
    "automations": {
        "creator_id": _TEXT, "id": _TEXT, "name": _TEXT, "trigger": _TEXT,
        "is_active": "BOOLEAN", "rule_hash": _TEXT, "updated_at": _TIME,
    },
    "executions": {
        "creator_id": _TEXT, "id": _TEXT, "automation_id": _TEXT, "rule_hash": _TEXT,
        "fan_id": _TEXT, "event_id": _TEXT, "state": _TEXT, "reason": _TEXT,
        "entered_at": _TIME, "ended_at": _TIME,
    },
}  # fmt: skip
"""Operational tables and the columns that analysis needs; addresses and contents stay behind."""

TABLES = OWN | COPIES


class Window(NamedTuple):
    """How long after a touch a goal may still be credited to it."""

    goal: str
    platform: str
    """A platform, or '*' for those without a line of their own."""
    touch: str
    seconds: int


def create(con: DuckDBPyConnection) -> None:
    """Create every raw table and column that is missing, inside the caller's transaction."""
    for table, columns in TABLES.items():
        con.execute(f"create table if not exists lake.raw.{table} ({_declared(columns)})")
        there = {row[0] for row in con.execute(f"describe lake.raw.{table}").fetchall()}
        for name in columns.keys() - there:
            con.execute(f"alter table lake.raw.{table} add column {name} {columns[name]}")


def refresh(con: DuckDBPyConnection, now: datetime, windows: Sequence[Window]) -> None:
    """Copy the operational tables, the clock and the windows; call it inside `lake.write`.

    All copies show one snapshot of PostgreSQL. `now` becomes the only clock that models may read.
    """
    for table, columns in COPIES.items():
        casts = ", ".join(f"cast({name} as {kind}) as {name}" for name, kind in columns.items())
        con.execute(f"delete from lake.raw.{table}")
        con.execute(f"insert into lake.raw.{table} select {casts} from ops.public.{table}")
    con.execute("delete from lake.raw.clock")
    # Literals, not parameters: binding one makes DuckDB import pandas, a second each process.
    con.execute(f"insert into lake.raw.clock values (timestamptz '{now.isoformat()}')")
    con.execute("delete from lake.raw.windows")
    for window in windows:
        con.execute(
            f"insert into lake.raw.windows values ('{window.goal}', '{window.platform}',"
            f" '{window.touch}', {window.seconds})"
        )


def _declared(columns: dict[str, str]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in columns.items())

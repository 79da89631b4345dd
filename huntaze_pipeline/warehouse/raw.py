"""The raw tables of the lake and their columns.

`raw.events` and `raw.lines` are written by imports and by `pull`; the copies of the operational
tables by `mirror`. Nothing is computed here.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from duckdb import DuckDBPyConnection

from huntaze_pipeline.sql import quoted

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
    "channel_effects": {
        "creator_id": "VARCHAR", "goal": "VARCHAR", "model": "VARCHAR", "source": "VARCHAR",
        "source_id": "VARCHAR", "effect": "DOUBLE", "stderr": "DOUBLE", "method": "VARCHAR",
    },
}  # fmt: skip
"""Tables that live in the lake only. `cursors.name`: a reader's position, or 'arrival'.
`channel_effects` is what `measurement.channels` computed, because no SELECT can.

An event about a message of ours carries what never changes of that message (when it was decided,
by what, which arm) and when it had been sent as the event arrived: nothing has to look it up later.
Of a message that is not ours an open or click carries when it was sent, if an event had said so.
"""

DECLARED: dict[str, dict[str, str]] = {
    "goals": {
        "goal": "VARCHAR", "event": "VARCHAR", "amount_micros": "BIGINT", "currency": "VARCHAR",
        "named": "BOOLEAN", "filtered": "BOOLEAN", "model": "VARCHAR", "half_life": "BIGINT",
    },
    "goal_filters": {
        "goal": "VARCHAR", "alternative": "INTEGER", "field": "VARCHAR", "op": "VARCHAR",
        "text": "VARCHAR", "number": "DOUBLE",
    },
    "windows": {"goal": "VARCHAR", "platform": "VARCHAR", "touch": "VARCHAR", "seconds": "BIGINT"},
    "rates": {"base": "VARCHAR", "quote": "VARCHAR", "day": "DATE", "rate": "DOUBLE"},
    "bots": {"rule": "VARCHAR", "value": "VARCHAR", "micros": "BIGINT"},
}  # fmt: skip
"""What people declare in rules/goals.yaml, rates.yaml and bots.yaml; a change computes all anew."""

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
        "queued_at": _TIME, "sent_at": _TIME, "ended_at": _TIME, "snapshot_id": "BIGINT",
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
        "entered_at": _TIME, "ended_at": _TIME, "snapshot_id": "BIGINT",
    },
}  # fmt: skip
"""Operational tables and the columns that analysis needs; addresses and contents stay behind."""

TABLES = OWN | DECLARED | COPIES


class Window(NamedTuple):
    """How long after a touch a goal may still be credited to it."""

    goal: str
    platform: str
    """A platform, or '*' for those without a line of their own."""
    touch: str
    seconds: int


class Bot(NamedTuple):
    """One sign by which machines are told from people; see `bots`."""

    rule: str
    """faster_than, agent or honeypot"""
    value: str
    """`platform:touch`, a word of the user agent, or the hidden link's path."""
    micros: int = 0
    """Of `faster_than` how fast, of `honeypot` how close; microseconds."""


def create(con: DuckDBPyConnection) -> None:
    """Create every raw table and column that is missing, inside the caller's transaction."""
    for table, columns in TABLES.items():
        con.execute(f"create table if not exists lake.raw.{table} ({_declared(columns)})")
        there = {row[0] for row in con.execute(f"describe lake.raw.{table}").fetchall()}
        for name in columns.keys() - there:
            con.execute(f"alter table lake.raw.{table} add column {name} {columns[name]}")


def declare(
    con: DuckDBPyConnection,
    declared: Mapping[str, Sequence[Sequence[Any]]],
    prefix: str,
    kind: str = "table",
) -> None:
    """Write declared rows into their tables, which are made when they are not there yet.

    A table that holds the same rows already is left alone: a change would build history anew.

    Args:
        con: the lake.
        declared: rows by the name of their table in `DECLARED`; a table not named becomes empty.
        prefix: what stands before the table's name: schema and dot, or a word.
        kind: `table` or `temp table`.
    """
    for table, columns in DECLARED.items():
        con.execute(f"create {kind} if not exists {prefix}{table} ({_declared(columns)})")
        rows = [tuple(row) for row in declared.get(table, ())]
        if _same(con.execute(f"from {prefix}{table}").fetchall(), rows):
            continue
        con.execute(f"delete from {prefix}{table}")
        if rows:
            values = ", ".join(_row(row) for row in rows)
            con.execute(f"insert into {prefix}{table} values {values}")


def _same(there: list[tuple[Any, ...]], wanted: list[tuple[Any, ...]]) -> bool:
    return sorted(map(repr, there)) == sorted(map(repr, wanted))


def _row(values: Sequence[Any]) -> str:
    return f"({', '.join(_literal(value) for value in values)})"


def _literal(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool | int):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value!r}::double"
    return quoted(value.isoformat() if isinstance(value, date) else str(value))


def _declared(columns: dict[str, str]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in columns.items())

"""Executions and steps in PostgreSQL: what exists, what is due, what a plan adds.

Every write repeats without effect, so a tick may be taken again after a crash.
"""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import polars as pl
from sqlalchemy import Connection, text

from huntaze_pipeline.rulebook.entries import UNREACHED, Entry, Passage
from huntaze_pipeline.rulebook.people import EVENTS
from huntaze_pipeline.rulebook.planner import Plan

_EXECUTIONS = text(
    """
    insert into executions (creator_id, id, automation_id, rule_hash, fan_id, entry_key, event_id,
                            state, entered_at, snapshot_id)
    select creator_id, id, automation_id, rule_hash, fan_id, entry_key, event_id, state,
           entered_at, snapshot_id
    from jsonb_to_recordset(cast(:rows as jsonb)) as r(
        creator_id text, id text, automation_id text, rule_hash text, fan_id text, entry_key text,
        event_id text, state text, entered_at timestamptz, snapshot_id bigint)
    on conflict do nothing
    """
)
_STEPS = text(
    """
    insert into steps (creator_id, execution_id, position, kind, due_at, state, reason, message_id,
                       done_at)
    select creator_id, execution_id, position, kind, due_at, state, reason, message_id, done_at
    from jsonb_to_recordset(cast(:rows as jsonb)) as r(
        creator_id text, execution_id text, position int, kind text, due_at timestamptz,
        state text, reason text, message_id text, done_at timestamptz)
    on conflict (creator_id, execution_id, position) do update
    set state = excluded.state, reason = excluded.reason, message_id = excluded.message_id,
        done_at = excluded.done_at
    where steps.state = 'waiting' and excluded.state <> 'waiting'
    """
)
_CLOSE = text(
    """
    update executions e
    set state = case when came.unreached then 'exited' when came.stopped then 'cancelled'
                     else 'completed' end,
        reason = case when came.unreached then came.reason end,
        ended_at = :now
    from unnest(cast(:creators as text[]), cast(:ids as text[])) as k(creator_id, id),
    lateral (
        select bool_or(s.state = 'waiting') as open, bool_or(s.state = 'cancelled') as stopped,
               bool_and(s.state = 'skipped' and s.reason = any(cast(:unreached as text[])))
                   filter (where s.message_id is not null) as unreached,
               (array_agg(s.reason order by s.position)
                   filter (where s.message_id is not null))[1] as reason
        from steps s where s.creator_id = k.creator_id and s.execution_id = k.id) as came
    where e.creator_id = k.creator_id and e.id = k.id and e.state = 'active' and not came.open
    """
)
_ENTERED = text(
    """
    select e.creator_id, e.automation_id, e.fan_id, e.entry_key, e.entered_at, e.event_id,
           e.state = 'exited' as exited
    from unnest(cast(:creators as text[]), cast(:fans as text[])) as k(creator_id, fan_id)
    join executions e on e.creator_id = k.creator_id and e.fan_id = k.fan_id
    order by e.entered_at, e.id
    """
)
_DUE = text(
    """
    select s.creator_id, s.execution_id, s.position as step, s.due_at as moment,
           e.automation_id, e.entry_key, e.fan_id, e.event_id, i.name, i.platform, i.account_id,
           i.campaign_id, i.message_id, i.value_micros, i.currency,
           coalesce(i.occurred_at, e.entered_at) as occurred_at,
           coalesce(i.properties, '{}')::text as properties
    from steps s
    join executions e on e.creator_id = s.creator_id and e.id = s.execution_id
    left join inbox i on i.creator_id = e.creator_id and i.event_id = e.event_id
    where s.state = 'waiting' and s.due_at <= :now
    order by s.due_at, s.id
    limit :limit
    for update of s skip locked
    """
)
DUE: dict[str, Any] = {
    **EVENTS, "moment": pl.Datetime("us", "UTC"), "execution_id": pl.String,
    "automation_id": pl.String, "entry_key": pl.String, "step": pl.Int64,
}  # fmt: skip


def store_plan(connection: Connection, plan: Plan, now: datetime) -> None:
    """Write a plan's executions and steps; what is there already stays (law 1).

    Decisions are written by `delivery.outbox.record`, in the same transaction.
    """
    _write(connection, _EXECUTIONS, plan.executions)
    _write(connection, _STEPS, plan.steps)
    touched = sorted({(step["creator_id"], step["execution_id"]) for step in plan.steps})
    if touched:
        names = {"creators": [t[0] for t in touched], "ids": [t[1] for t in touched]}
        connection.execute(_CLOSE, {**names, "now": now, "unreached": list(UNREACHED)})


def _write(connection: Connection, statement: Any, rows: list[dict[str, Any]]) -> None:
    if rows:
        text_ = json.dumps(rows, default=lambda value: value.isoformat())
        connection.execute(statement, {"rows": text_})


def entered(connection: Connection, keys: Iterable[tuple[str, str]]) -> dict[Passage, list[Entry]]:
    """Return the entries of some fans, those that exited included, oldest first."""
    wanted = sorted(set(keys))
    names = {"creators": [k[0] for k in wanted], "fans": [k[1] for k in wanted]}
    found: dict[Passage, list[Entry]] = {}
    for row in connection.execute(_ENTERED, names):
        key = (row.creator_id, row.automation_id, row.fan_id)
        entry = Entry(row.entry_key, row.entered_at, row.event_id, row.exited)
        found.setdefault(key, []).append(entry)
    return found


def due_steps(connection: Connection, now: datetime, limit: int = 1000) -> pl.DataFrame:
    """Return the waiting steps that are due, with their triggering events, and hold them.

    Another process that asks at the same time gets other steps.
    """
    rows = connection.execute(_DUE, {"now": now, "limit": limit}).mappings()
    return pl.DataFrame([{**row, "position": i} for i, row in enumerate(rows)], schema=DUE)

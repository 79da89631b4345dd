"""Executions and steps in PostgreSQL: what exists, what is due, what a plan adds.

Every write repeats without effect, so a tick may be taken again after a crash.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import polars as pl
from sqlalchemy import Connection, text

from huntaze_pipeline.rulebook import control, effects
from huntaze_pipeline.rulebook.entries import UNREACHED, Entry, Passage
from huntaze_pipeline.rulebook.live import LiveAutomation
from huntaze_pipeline.rulebook.passage import Open, Plan
from huntaze_pipeline.rulebook.people import EVENTS
from huntaze_pipeline.store import arrays, volley

_EXECUTIONS = text(
    """
    insert into executions (creator_id, id, automation_id, rule_hash, fan_id, entry_key, event_id,
                            state, entered_at, ended_at, snapshot_id)
    select creator_id, id, automation_id, rule_hash, fan_id, entry_key, event_id, state,
           entered_at, ended_at, snapshot_id
    from jsonb_to_recordset(cast(:rows as jsonb)) as r(
        creator_id text, id text, automation_id text, rule_hash text, fan_id text, entry_key text,
        event_id text, state text, entered_at timestamptz, ended_at timestamptz,
        snapshot_id bigint)
    on conflict do nothing
    """
)
_STEPS = text(
    """
    insert into steps (creator_id, execution_id, turn, position, rule_hash, kind, began_at, due_at,
                       awaits, state, reason, message_id, effect_id, snapshot_id, done_at)
    select creator_id, execution_id, turn, position, rule_hash, kind, began_at, due_at,
           awaits, state, reason, message_id, effect_id, snapshot_id, done_at
    from jsonb_to_recordset(cast(:rows as jsonb)) as r(
        creator_id text, execution_id text, turn int, position int, rule_hash text, kind text,
        began_at timestamptz, due_at timestamptz, awaits jsonb, state text, reason text,
        message_id text, effect_id text, snapshot_id bigint, done_at timestamptz)
    on conflict (creator_id, execution_id, turn) do update
    set state = excluded.state, reason = excluded.reason, message_id = excluded.message_id,
        effect_id = excluded.effect_id, snapshot_id = excluded.snapshot_id,
        done_at = excluded.done_at
    where steps.state in ('waiting', 'held') and excluded.state <> 'waiting'
    """
)
# "Is true": in a table that was never analyzed the planner takes the few states for the rarest
# thing there is, and would read all of a creator's executions once for each of the ids.
_CLOSE = text(
    """
    update executions e
    set state = case when came.unreached then 'exited'
                     when came.stopped and not came.goal then 'cancelled' else 'completed' end,
        reason = case when came.unreached then came.first_reason
                      when came.goal or came.stopped then came.last_reason
                      when came.left_early then 'exit' end,
        ended_at = :now
    from unnest(cast(:creators as text[]), cast(:ids as text[])) as k(creator_id, id),
    lateral (
        select bool_or(s.state in ('waiting', 'held')) as open,
               bool_or(s.state = 'cancelled') as stopped,
               bool_or(s.state = 'cancelled' and s.reason = 'goal') as goal,
               bool_or(s.kind = 'exit' and s.reason = 'exit') as left_early,
               bool_and(s.state = 'skipped' and s.reason = any(cast(:unreached as text[])))
                   filter (where s.message_id is not null)
                   and not bool_or(s.effect_id is not null) as unreached,
               (array_agg(s.reason order by s.turn)
                   filter (where s.message_id is not null))[1] as first_reason,
               (array_agg(s.reason order by s.turn desc)
                   filter (where s.state = 'cancelled'))[1] as last_reason
        from steps s where s.creator_id = k.creator_id and s.execution_id = k.id) as came
    where e.creator_id = k.creator_id and e.id = k.id
      and (e.state in ('active', 'paused')) is true and not came.open
    returning e.creator_id, e.id, e.reason
    """
)
# In two parts, so that of each fan only the entries since an instant are read, and all of them only
# for automations that look back.
_ENTERED = text(
    """
    with k as (
        select * from unnest(cast(:creators as text[]), cast(:fans as text[]))
            as k(creator_id, fan_id)
    ), e as (
        select e.* from k join executions e on e.creator_id = k.creator_id
            and e.fan_id = k.fan_id and e.entered_at >= :earliest
        union all
        select e.* from k join executions e on e.creator_id = k.creator_id
            and e.fan_id = k.fan_id and e.entered_at >= :since and e.entered_at < :earliest
            and e.automation_id = any(cast(:mindful as text[]))
    )
    select e.creator_id, e.automation_id, e.fan_id, e.entry_key, e.entered_at, e.event_id,
           e.state = 'exited' as exited
    from e order by e.entered_at, e.id
    """
)
_CREATORS = text(
    """
    select distinct creator_id from (
        select s.creator_id from steps s where s.state = 'waiting' and s.due_at <= :now
        order by s.due_at, s.id limit :limit) as due
    """
)
_DUE = text(
    """
    select s.creator_id, s.execution_id, s.position as step, s.turn, s.kind, s.due_at as moment,
           coalesce(s.began_at, s.due_at) as began_at,
           coalesce(s.rule_hash, e.rule_hash) as rule_hash, e.rule_hash as origin,
           e.entered_at, e.state as execution_state,
           e.automation_id, e.entry_key, e.fan_id, e.event_id, i.name, i.platform, i.account_id,
           i.campaign_id, i.message_id, i.value_micros, i.currency,
           coalesce(i.occurred_at, e.entered_at) as occurred_at,
           coalesce(i.properties, '{}')::text as properties
    from steps s
    join executions e on e.creator_id = s.creator_id and e.id = s.execution_id
    left join inbox i on i.creator_id = e.creator_id and i.event_id = e.event_id
    where s.state = 'waiting' and s.due_at <= :now
      and (cast(:creators as text[]) is null or s.creator_id = any(:creators))
    order by s.due_at, s.id
    limit :limit
    for update of s skip locked
    """
)
_OPEN = text(
    """
    select s.creator_id, s.execution_id, e.automation_id, e.fan_id, e.entry_key,
           e.rule_hash as origin, coalesce(s.rule_hash, e.rule_hash) as rule_hash, e.entered_at,
           s.turn, s.position, coalesce(s.began_at, s.due_at) as began_at, s.due_at, e.event_id
    from unnest(cast(:creators as text[]), cast(:fans as text[])) as k(creator_id, fan_id)
    join executions e on e.creator_id = k.creator_id and e.fan_id = k.fan_id
        and e.state in ('active', 'paused')
    join steps s on s.creator_id = e.creator_id and s.execution_id = e.id and s.state = 'waiting'
    where jsonb_exists_any(s.awaits, cast(:names as text[]))
    order by s.creator_id, s.execution_id
    for update of s
    """
)
_EVER = datetime(1, 1, 2, tzinfo=UTC)
"""Before every entry."""
_TIME = pl.Datetime("us", "UTC")
DUE: dict[str, Any] = {
    **EVENTS, "moment": _TIME, "execution_id": pl.String, "automation_id": pl.String,
    "entry_key": pl.String, "step": pl.Int64, "turn": pl.Int64, "kind": pl.String,
    "began_at": _TIME, "rule_hash": pl.String, "origin": pl.String, "entered_at": _TIME,
    "execution_state": pl.String,
}  # fmt: skip


def store_plan(connection: Connection, plan: Plan, now: datetime) -> None:
    """Write a plan's executions, steps and effects; what is there already stays (law 1).

    Decisions are written by `delivery.outbox.record`, in the same transaction.
    """
    if not (plan.executions or plan.steps):
        return
    touched = sorted({(step["creator_id"], step["execution_id"]) for step in plan.steps})
    names = {"creators": [t[0] for t in touched], "ids": [t[1] for t in touched]}
    *_, ended = volley.ask(
        connection,
        (_EXECUTIONS, _written(plan.executions)),
        (_STEPS, _written(plan.steps)),
        (_CLOSE, {**names, "now": now, "unreached": list(UNREACHED)}),
    )
    effects.store(connection, plan.effects, now)
    for row in ended:
        if row.reason == "goal":  # what is still on its way to such a fan has lost its point
            control.withdraw(connection, row.creator_id, [row.id], "goal", now)


def _written(rows: list[dict[str, Any]]) -> dict[str, str]:
    return {"rows": json.dumps(rows, default=lambda value: value.isoformat())}


def entered(
    connection: Connection,
    keys: Iterable[tuple[str, str]],
    automations: Iterable[LiveAutomation],
    earliest: datetime,
) -> dict[Passage, list[Entry]]:
    """Return the entries of some fans that bear on entering again, oldest first.

    Those that exited are among them. What lies further back than any of the automations looks does
    not bear, and there is the more of it the longer a fan is there.

    Args:
        connection: PostgreSQL.
        keys: the fans.
        automations: those that they may enter.
        earliest: when the first of the events occurred by which they may.
    """
    # Pairs, for two creators may have different rules of one name.
    rules = [(a.id, a.rule.entry) for a in automations]
    ever = [name for name, entry in rules if entry.once or entry.per]
    lately = [(name, entry.every) for name, entry in rules if entry.every]
    since = min((earliest - every for _, every in lately), default=earliest)
    names = arrays.pairs(sorted(set(keys))) | {
        "mindful": [*ever, *(name for name, _ in lately)], "earliest": earliest,
        "since": _EVER if ever else since,
    }  # fmt: skip
    found: dict[Passage, list[Entry]] = {}
    for row in connection.execute(_ENTERED, names).all():
        key = (row.creator_id, row.automation_id, row.fan_id)
        entry = Entry(row.entry_key, row.entered_at, row.event_id, row.exited)
        found.setdefault(key, []).append(entry)
    return found


def due_creators(connection: Connection, now: datetime, limit: int = 1000) -> list[str]:
    """Return whose steps are due, without holding any."""
    return sorted(connection.execute(_CREATORS, {"now": now, "limit": limit}).scalars())


def due_steps(
    connection: Connection,
    now: datetime,
    limit: int = 1000,
    creators: Iterable[str] | None = None,
) -> pl.DataFrame:
    """Return the waiting steps that are due, with their triggering events, and hold them.

    Another process that asks at the same time gets other steps.
    """
    wanted = None if creators is None else sorted(set(creators))
    values = {"now": now, "limit": limit, "creators": wanted}
    rows = connection.execute(_DUE, values).mappings()
    return pl.DataFrame([{**row, "position": i} for i, row in enumerate(rows)], schema=DUE)


def resting(
    connection: Connection, keys: Iterable[tuple[str, str]], names: Iterable[str]
) -> tuple[Open, ...]:
    """Return, and hold, the passages of some fans that events of these names can move on or end."""
    wanted = sorted(set(keys))
    values = {**arrays.pairs(wanted), "names": sorted(set(names))}
    return tuple(Open(**row) for row in connection.execute(_OPEN, values).mappings())

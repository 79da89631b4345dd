"""Effects in PostgreSQL: what steps do to fans, lists and the inbox, each exactly once.

A row that is there already has been applied; so a tick may be taken again after a crash. Requests
to servers outside stay `pending` for the worker that delivers them.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline.events import inbox
from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.rulebook import deeds

_STORE = text(
    """
    insert into effects (creator_id, id, execution_id, automation_id, fan_id, turn, position, kind,
                         body, state, rule_hash, snapshot_id, due_at, decided_at, done_at)
    select creator_id, id, execution_id, automation_id, fan_id, turn, position, kind, body,
           case kind when 'webhook' then 'pending' else 'applied' end, rule_hash, snapshot_id,
           due_at, decided_at, case kind when 'webhook' then null else decided_at end
    from jsonb_to_recordset(cast(:rows as jsonb)) as r(
        creator_id text, id text, execution_id text, automation_id text, fan_id text, turn int,
        position int, kind text, body jsonb, rule_hash text, snapshot_id bigint,
        due_at timestamptz, decided_at timestamptz)
    on conflict do nothing
    returning creator_id, id
    """
)
_SET = text(
    """
    update fans set updated_at = :now,
        attributes = (attributes || cast(:values as jsonb)) - cast(:gone as text[])
    where creator_id = :creator and id = :fan
    """
)
_TAG = text(
    """
    update fans set updated_at = :now,
        tags = (select coalesce(jsonb_agg(tag order by tag), '[]') from (
            select jsonb_array_elements_text(tags) as tag union select unnest(cast(:tags as text[]))
        ) as every)
    where creator_id = :creator and id = :fan
    """
)
_UNTAG = text(
    """
    update fans set updated_at = :now, tags = tags - cast(:tags as text[])
    where creator_id = :creator and id = :fan
    """
)
_ENROL = text(
    """
    insert into enrolments (creator_id, segment_id, fan_id, joined, effect_id, changed_at)
    values (:creator, :segment, :fan, :joined, :id, :now)
    on conflict (creator_id, segment_id, fan_id) do update
    set joined = excluded.joined, effect_id = excluded.effect_id, changed_at = excluded.changed_at
    """
)
_JOIN = text(
    """
    insert into members (creator_id, segment_id, fan_id, entered_at)
    select :creator, :segment, :fan, :now
    where exists (select from segments where creator_id = :creator and id = :segment)
      and exists (select from fans where creator_id = :creator and id = :fan)
    on conflict do nothing
    returning 1
    """
)
_LEAVE = text(
    """
    update members set left_at = greatest(entered_at, :now)
    where creator_id = :creator and segment_id = :segment and fan_id = :fan and left_at is null
    returning 1
    """
)


def store(connection: Connection, rows: Sequence[Mapping[str, Any]], now: datetime) -> int:
    """Write effects and apply those that are ours, in the caller's transaction.

    Returns:
        How many were new; the others had been applied before.
    """
    if not rows:
        return 0
    text_ = json.dumps(list(rows), default=lambda value: value.isoformat())
    new = {(row.creator_id, row.id) for row in connection.execute(_STORE, {"rows": text_})}
    events: list[Event] = []
    for row in rows:
        if (row["creator_id"], row["id"]) in new:
            events += _apply(connection, row, now)
    inbox.append(connection, events)
    return len(new)


def _apply(connection: Connection, row: Mapping[str, Any], now: datetime) -> list[Event]:
    """Do what one effect says; return the events that tell of it."""
    kind, body = row["kind"], row["body"]
    names = {"creator": row["creator_id"], "fan": row["fan_id"], "now": now}
    if kind == "set":
        values = body["attributes"]
        gone = [name for name, value in values.items() if value is None]
        connection.execute(_SET, {**names, "values": json.dumps(values), "gone": gone})
    elif kind == "tag":
        connection.execute(_TAG, {**names, "tags": body["tags"]})
    elif kind == "untag":
        connection.execute(_UNTAG, {**names, "tags": body["tags"]})
    elif kind == "emit":
        return [_event(row, body["event"], body["properties"])]
    elif kind in ("join", "leave"):
        return _enrol(connection, row, {**names, "segment": body["segment"]})
    return []


def _enrol(connection: Connection, row: Mapping[str, Any], names: dict[str, Any]) -> list[Event]:
    """Put a fan into a list or take it out, and tell the rules when that changed anything."""
    joins = row["kind"] == "join"
    connection.execute(_ENROL, {**names, "joined": joins, "id": row["id"]})
    changed = connection.execute(_JOIN if joins else _LEAVE, names).first()
    if changed is None:
        return []
    name = "entered_segment" if joins else "left_segment"
    return [_event(row, name, {"segment": names["segment"]})]


def _event(row: Mapping[str, Any], name: str, properties: Mapping[str, Any]) -> Event:
    return Event(
        creator_id=row["creator_id"], event_id=f"effect:{row['id']}", name=name,
        fan_id=row["fan_id"], occurred_at=row["due_at"], source="rule",
        properties={
            **properties, "automation": row["automation_id"], deeds.HOPS: row["body"][deeds.HOPS]
        },
    )  # fmt: skip

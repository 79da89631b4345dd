"""The inbox: live events in PostgreSQL, appended once each and read in order of commit.

Bulk history does not pass here (`importer` writes it to the lake); rules react to the inbox only.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.store import volley

_CHUNK = 5_000


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of a batch."""

    new: int
    known: int
    """Events whose id was there already; nothing of them was changed."""


class Position(NamedTuple):
    """A reader's place: everything up to and including this row has been read."""

    tx: int = 0
    id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived(Event):
    """An event in the inbox, with its place in the order of arrival."""

    position: Position
    received_at: datetime


_COLUMNS = (
    "creator_id", "event_id", "name", "fan_id", "platform", "account_id", "campaign_id",
    "message_id", "value_micros", "currency", "occurred_at", "source",
)  # fmt: skip
_INSERT = """
    with batch as (
        select * from jsonb_to_recordset(cast(:rows as jsonb)) as x(
            creator_id text, event_id text, name text, fan_id text, platform text,
            account_id text, campaign_id text, message_id text, value_micros bigint,
            currency text, occurred_at timestamptz, source text, properties jsonb, line int)
    ), added as (
        insert into inbox (creator_id, event_id, name, fan_id, platform, account_id,
                           campaign_id, message_id, value_micros, currency, occurred_at,
                           source, properties)
        select x.creator_id, x.event_id, x.name, x.fan_id, {place},
               x.message_id, x.value_micros, x.currency, x.occurred_at, x.source, x.properties
        from batch x {messages}
        order by x.line
        on conflict (creator_id, event_id) do nothing
        returning 1
    )
    select count(*) from added
"""
_APPEND = text(_INSERT.format(place="x.platform, x.account_id, x.campaign_id", messages=""))
_COMPLETE = text(
    _INSERT.format(
        place="""coalesce(x.platform, m.platform), coalesce(x.account_id, m.account_id),
               coalesce(x.campaign_id, case m.source when 'campaign' then m.source_id end)""",
        messages="""
        left join lateral (  -- each by its id: joined, all messages are read for ten events
            select platform, account_id, source, source_id from messages
            where creator_id = x.creator_id and id = x.message_id
                and (x.platform is null or x.campaign_id is null or x.account_id is null)
            limit 1) m on true""",
    )
)
_TAIL = text(
    f"""
    select i.tx::text::bigint as tx, i.id, received_at, properties, {", ".join(_COLUMNS)}
    from inbox i
    where (i.tx, i.id) > (cast(cast(:tx as text) as xid8), :id)
      and i.tx < pg_snapshot_xmin(pg_current_snapshot())
    order by i.tx, i.id  -- the columns: by the number above, all that waits would be sorted
    limit :limit
    """
)

_WAITS = text(
    # The place as values and in the index's order: joined, all that has been read is read again.
    """
    with place as materialized (
        select coalesce(max(position ->> 'tx'), '0')::xid8 as tx,
               coalesce(max((position ->> 'id')::bigint), 0) as id
        from checkpoints where name = :reader)
    select (select true from inbox i
            where (i.tx, i.id) > ((select tx from place), (select id from place))
              and i.tx < pg_snapshot_xmin(pg_current_snapshot())
            order by i.tx, i.id limit 1) is not null
    """
)


def append(connection: Connection, events: Sequence[Event]) -> Appended:
    """Store events whose ids are new, in the caller's transaction, in the order given.

    An event about a message of ours gets the platform, account and campaign that it does not name.
    Under `Store.tenant` a row of another creator is refused by the database itself.
    """
    new = 0
    for start in range(0, len(events), _CHUNK):
        part = events[start : start + _CHUNK]
        rows = [_row(line, e) for line, e in enumerate(part)]
        how = _COMPLETE if any(event.message_id for event in part) else _APPEND
        new += connection.execute(how, {"rows": json.dumps(rows)}).scalar_one()
    return Appended(new=new, known=len(events) - new)


def tail(connection: Connection, after: Position = Position(), limit: int = 1000) -> list[Arrived]:
    """Return the next events after a position, oldest commit first.

    Rows of transactions that began before the oldest open one only: a row that commits late is
    never stepped over, it is waited for. Pass the last event's `position` to continue.
    """
    values = {"tx": str(after.tx), "id": after.id, "limit": limit}
    (rows,) = volley.ask(connection, (_TAIL, values))
    return [_arrived(*row) for row in rows]


def waits(connection: Connection, reader: str) -> bool:
    """Say whether there is anything that a reader has not read; nothing is held."""
    return connection.execute(_WAITS, {"reader": reader}).scalar_one()


def _row(line: int, event: Event) -> dict[str, Any]:
    row = {name: getattr(event, name) for name in _COLUMNS}
    return row | {
        "occurred_at": event.occurred_at.isoformat(),
        "properties": event.properties,
        "line": line,
    }


def _arrived(
    tx: int, number: int, received_at: datetime, properties: dict[str, Any], *rest: Any
) -> Arrived:
    return Arrived(
        **dict(zip(_COLUMNS, rest, strict=True)),
        properties=properties, position=Position(tx, number), received_at=received_at,
    )  # fmt: skip

"""Moments of the calendar, and the events that they are made into: one per fan and occurrence.

Two halves, so that an outage neither loses nor floods: `open_due` puts down as rows the moments
that have come, and what is too late as missed; `make` turns open ones into events, some fans at a
time, and remembers how far it came.
"""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from huntaze_pipeline import clock
from huntaze_pipeline.rulebook import calendar
from huntaze_pipeline.rulebook.trigger import Trigger
from huntaze_pipeline.timing import clocks

LATE = timedelta(hours=24)
"""How late a moment may still be acted on when its trigger says nothing."""
LOOK = timedelta(minutes=15)
"""A zone nobody lived in before is noticed after this at the latest; offsets are quarter hours."""
NOBODY, EVERYBODY = "-", "*"

_DUE = text(
    """
    select k.creator_id, k.id, k.trigger::text as trigger, k.done_to, c.zone
    from clocks k join creators c on c.id = k.creator_id
    where k.next_at <= :now order by k.next_at limit :limit for update of k skip locked
    """
)
_ZONES = text(  # from one zone to the next along the index, however many fans there are
    """
    with recursive found as (
        (select zone from fans where creator_id = :creator and zone is not null
         order by zone limit 1)
        union all
        select (select f.zone from fans f where f.creator_id = :creator and f.zone > found.zone
                order by f.zone limit 1)
        from found where found.zone is not null)
    select zone from found where zone is not null
    union all
    select '-' where exists (select from fans where creator_id = :creator and zone is null)
    """
)
_OPEN = text(
    """
    insert into occasions (creator_id, clock_id, zone, name, at, expires_at, state, times)
    values (:creator, :clock, :zone, :name, :at, :expires, :state, :times)
    on conflict do nothing
    """
)
_MOVE = text(
    """
    update clocks set done_to = :now, next_at = :next where creator_id = :creator and id = :clock
    """
)
_NEXT = text(
    """
    select o.creator_id, o.clock_id, o.zone, o.name, o.at, o.cursor, k.trigger::text as trigger,
           c.zone as creator_zone
    from occasions o
    join creators c on c.id = o.creator_id
    left join clocks k on k.creator_id = o.creator_id and k.id = o.clock_id
    where o.state = 'open' order by o.at, o.creator_id, o.clock_id, o.zone
    limit 1 for update of o skip locked
    """
)
_CLOSE = text(
    """
    update occasions set state = :state, fans = fans + :fans, cursor = coalesce(:cursor, cursor)
    where creator_id = :creator and clock_id = :clock and zone = :zone and name = :name
    """
)
_LAPSE = text(
    """
    update occasions set state = 'missed' where state = 'open' and expires_at < :now
    returning creator_id, clock_id, zone, name, fans
    """
)


class Opened(NamedTuple):
    """What came due."""

    clocks: int
    moments: int
    missed: list[str]
    """In a sentence each: what is too late to act on."""


def open_due(connection: Connection, now: datetime, limit: int = 100) -> Opened:
    """Put down the moments of the calendar that have come since each clock was looked at."""
    rows = connection.execute(_DUE, {"now": now, "limit": limit}).all()
    moments, missed = 0, []
    for row in rows:
        trigger = clocks.read(row.trigger)
        if trigger is None:
            continue
        due, following = _due(connection, row, trigger, now)
        if due:
            connection.execute(_OPEN, due)
        moments += sum(one["state"] == "open" for one in due)
        missed += [_told(one) for one in due if one["state"] == "missed"]
        names = {"creator": row.creator_id, "clock": row.id}
        connection.execute(_MOVE, {**names, "now": now, "next": following})
    return Opened(len(rows), moments, missed)


def _due(
    connection: Connection, row: Any, trigger: Trigger, now: datetime
) -> tuple[list[dict[str, Any]], datetime | None]:
    """Return the rows of the moments in (done_to, now], and when to look again."""
    due: list[dict[str, Any]] = []
    upcoming: list[datetime] = []
    names = [EVERYBODY]
    if trigger.zone != "creator":
        names = list(connection.execute(_ZONES, {"creator": row.creator_id}).scalars())
        upcoming.append(now + LOOK)
    for name in names:
        where = clock.zone(None if name in (NOBODY, EVERYBODY) else name, row.zone)
        due += _in_zone(
            row, trigger, name, calendar.between(trigger.cron, where, row.done_to, now), now
        )
        following = calendar.following(trigger.cron, where, now)
        upcoming += [following] if following else []
    return due, min(upcoming, default=None)


def _in_zone(
    row: Any, trigger: Trigger, zone: str, moments: list[calendar.Moment], now: datetime
) -> list[dict[str, Any]]:
    late = trigger.expires_after or LATE
    known = {"creator": row.creator_id, "clock": row.id, "zone": zone, "times": 1}
    rows = [
        known | {"name": m.name, "at": m.at, "expires": m.at + late, "state": "open"}
        for m in moments
        if m.at + late >= now
    ]
    gone = moments[: len(moments) - len(rows)]
    if gone:  # one row for all of them: a long outage makes no flood of rows either
        last = {"name": gone[-1].name, "at": gone[-1].at, "expires": gone[-1].at + late}
        rows.insert(0, known | last | {"state": "missed", "times": len(gone)})
    return rows


def _told(row: dict[str, Any]) -> str:
    return (
        f"{row['creator']}: {row['times']} moments of a trigger up to {row['name']} (zone"
        f" {row['zone']}) came to light too late and were not acted on (clock {row['clock']})"
    )


def lapse(connection: Connection, now: datetime) -> list[str]:
    """Give up what is open and too late by now; return a sentence for each."""
    return [
        f"{row.creator_id}: {row.name} (zone {row.zone}) reached {row.fans} fans only before it was"
        f" too late (clock {row.clock_id})"
        for row in connection.execute(_LAPSE, {"now": now})
    ]


def make(connection: Connection, limit: int = 5_000) -> int:
    """Make events of the oldest open occasion, for so many fans; return for how many.

    An occasion whose rule is gone is closed: nobody would react.
    """
    row = connection.execute(_NEXT).first()
    if row is None:
        return 0
    names = {
        "creator": row.creator_id, "clock": row.clock_id, "zone": row.zone, "name": row.name
    }  # fmt: skip
    trigger = clocks.read(row.trigger) if row.trigger else None
    if trigger is None:
        connection.execute(_CLOSE, {**names, "state": "missed", "fans": 0, "cursor": None})
        return 1
    values = {**names, "at": row.at, "cursor": row.cursor, "limit": limit}
    values |= {"segment": trigger.segment, "event": trigger.event, "creator_zone": row.creator_zone}
    done = connection.execute(_events(trigger, row.zone), values).one()
    state = "open" if done.seen == limit else "made"
    connection.execute(_CLOSE, {**names, "state": state, "fans": done.made, "cursor": done.cursor})
    return max(done.seen, 1)


_DATES = {
    "birthday": "f.birthday",
    "subscribed": "(f.subscribed_at at time zone coalesce(f.zone, :creator_zone))::date",
}


def _date(name: str) -> str:
    """Return the SQL date that an anniversary is of; an attribute that is no date is none."""
    key = name.removeprefix("attributes.")
    known = f"f.attributes ->> '{key}'"
    valid = f"pg_input_is_valid({known}, 'date') and {known} ~ '^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}$'"
    return _DATES.get(name) or f"case when {valid} then ({known})::date end"


_YEARS = "date_part('year', cast(:name as timestamp)) - date_part('year', d.day)"
"""How many years ago it was, on the day that an anniversary's occasion is named after."""
_MEMBER = """
    exists (select from members m where m.creator_id = f.creator_id and m.segment_id = :segment
        and m.fan_id = f.id and m.entered_at <= :at and (m.left_at is null or m.left_at > :at))
"""


def _whose(trigger: Trigger, zone: str) -> str:
    """Return the SQL condition of the fans that an occasion is for, after those already seen.

    Someone born on 29 February has the 28th in other years.
    """
    parts = ["f.creator_id = :creator", "f.id > :cursor"]
    if zone != EVERYBODY:
        parts.append("f.zone is null" if zone == NOBODY else "f.zone = :zone")
    if trigger.anniversary:
        this_year = f"(d.day + make_interval(years => ({_YEARS})::int))::date"
        parts.append(f"{this_year} = cast(:name as timestamp)::date")
        parts.append(f"{_YEARS} > 0")
    if trigger.segment:
        parts.append(_MEMBER)
    return " and ".join(parts)


def _events(trigger: Trigger, zone: str) -> Any:
    """Return the statement that makes the next events of an occasion."""
    years, dated = "null", ""
    if trigger.anniversary:
        years = _YEARS
        dated = f"cross join lateral (select {_date(trigger.anniversary)} as day) d"
    return text(
        f"""
        with people as (
            select f.id, {years} as years from fans f {dated}
            where {_whose(trigger, zone)} order by f.id limit :limit
        ), added as (
            insert into inbox (creator_id, event_id, name, fan_id, occurred_at, source, properties)
            select :creator, 'clock:' || :clock || ':' || :name || ':' || id, :event, id, :at,
                   'clock', jsonb_strip_nulls(jsonb_build_object(
                       'trigger', cast(:clock as text), 'moment', cast(:name as text),
                       'years', years))
            from people order by id
            on conflict (creator_id, event_id) do nothing
            returning 1
        )
        select count(*) as seen, max(id) as cursor, (select count(*) from added) as made
        from people
        """
    )

"""A segment's past: its definitions, and how many fans came and went on each day."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, text

_VERSIONS = text(
    """
    select live_at, rule_hash, criteria from segment_versions
    where creator_id = :creator and segment_id = :segment order by live_at
    """
)
_DAYS = text(
    """
    select day, sum(came) as entered, sum(gone) as left from (
        select (entered_at at time zone 'UTC')::date as day, 1 as came, 0 as gone from members
        where creator_id = :creator and segment_id = :segment
        union all
        select (left_at at time zone 'UTC')::date, 0, 1 from members
        where creator_id = :creator and segment_id = :segment and left_at is not null) moves
    group by day order by day
    """
)
_STAYS = text(
    """
    select segment_id, entered_at, left_at from members
    where creator_id = :creator and fan_id = :fan order by entered_at, segment_id
    """
)


@dataclass(frozen=True)
class Version:
    """A definition, live until the next one."""

    live_at: datetime
    rule_hash: str
    criteria: dict[str, Any]


@dataclass(frozen=True)
class Day:
    """Moves of one UTC day, and the size at its end."""

    day: date
    entered: int
    left: int
    size: int


@dataclass(frozen=True)
class Stay:
    """A fan's time in one segment."""

    segment_id: str
    entered_at: datetime
    left_at: datetime | None


def versions(connection: Connection, creator_id: str, segment_id: str) -> list[Version]:
    """Return every definition that the segment had, the oldest first."""
    rows = connection.execute(_VERSIONS, {"creator": creator_id, "segment": segment_id})
    return [Version(*row) for row in rows]


def days(connection: Connection, creator_id: str, segment_id: str) -> list[Day]:
    """Return the days on which somebody came or went, the oldest first."""
    size, found = 0, []
    for day, came, gone in connection.execute(
        _DAYS, {"creator": creator_id, "segment": segment_id}
    ):
        size += came - gone
        found.append(Day(day, came, gone, size))
    return found


def stays(connection: Connection, creator_id: str, fan_id: str) -> list[Stay]:
    """Return every stay of a fan in any segment, in order."""
    rows = connection.execute(_STAYS, {"creator": creator_id, "fan": fan_id})
    return [Stay(*row) for row in rows]

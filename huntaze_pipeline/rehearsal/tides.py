"""A segment over the past: how many it held, and who came and left, day by day.

The file's definition, asked at the end of each step of what was known then. Nobody's stay is read
from the store: a segment that never was live is told as well.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from huntaze_pipeline.rehearsal import muster
from huntaze_pipeline.rehearsal.past import Past
from huntaze_pipeline.rulebook.schema import Segment

DAY = timedelta(days=1)
_AT_ONCE = 2_000_000
"""Fans times moments that are asked in one query: it bounds the memory."""


@dataclass
class Tide:
    """A segment's size at one moment, and what changed since the one before."""

    at: datetime
    size: int
    entered: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    """Fans as `creator/fan`."""


def run(
    past: Past, segments: Mapping[str, Segment], name: str, since: datetime, until: datetime
) -> list[Tide]:
    """Return a segment's size at the start of a period, each day after it, and at its end.

    Args:
        past: opened beyond the end.
        segments: every segment of the files.
        name: the one that is asked for.
        since: aware UTC.
        until: aware UTC.
    """
    found: list[Tide] = []
    before: set[str] | None = None
    for moments in _portions(past, _moments(since, until)):
        for at, members in _members(past, segments, name, moments):
            come, go = (members - before, before - members) if before is not None else ((), ())
            found.append(Tide(at, len(members), sorted(come), sorted(go)))
            before = members
    return found


def _moments(since: datetime, until: datetime) -> list[datetime]:
    days = -((since - until) // DAY)
    return [min(since + n * DAY, until) for n in range(days + 1)]


def _portions(past: Past, moments: Sequence[datetime]) -> Iterator[Sequence[datetime]]:
    row = past.con.execute(f"select count(*) from {past.table('fans')}").fetchone()
    size = max(1, _AT_ONCE // max(1, int(row[0]) if row else 1))
    for start in range(0, len(moments), size):
        yield moments[start : start + size]


def _members(
    past: Past, segments: Mapping[str, Segment], name: str, moments: Sequence[datetime]
) -> Iterator[tuple[datetime, set[str]]]:
    muster.gather(past, moments, segments, [name])
    rows = past.con.execute(
        "select a.moment, a.creator_id || '/' || a.fan_id from askers a"
        " join inside i using (position) where i.hits[1] is not null"
    ).fetchall()
    held: dict[datetime, set[str]] = {at: set() for at in moments}
    for at, fan in rows:
        held[at].add(fan)
    yield from held.items()


def summary(name: str, tides: Sequence[Tide]) -> dict[str, Any]:
    """Return everything that is told, as JSON-like data."""
    return {
        "segment": name, "from": tides[0].at, "to": tides[-1].at,
        "size": {"first": tides[0].size, "last": tides[-1].size},
        "entered": sum(len(tide.entered) for tide in tides),
        "left": sum(len(tide.left) for tide in tides),
        "days": [
            {"at": t.at, "size": t.size, "entered": t.entered, "left": t.left} for t in tides
        ],
    }  # fmt: skip

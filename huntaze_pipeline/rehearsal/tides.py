"""A segment over the past: how many it held, and who came and left, day by day.

The definition, asked at the end of each step of what was known then; a segment that never was live
is told as well. Where one was, the stays that live opened and closed are compared with it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from huntaze_pipeline.rehearsal import muster
from huntaze_pipeline.rehearsal.past import Past
from huntaze_pipeline.rulebook.schema import Segment

DAY = timedelta(days=1)
_AT_ONCE = 2_000_000
"""Fans times moments that are asked in one query: it bounds the memory."""


@dataclass(frozen=True)
class Agreement:
    """A segment's members at one moment, here and in the stays of live."""

    same: int
    only_live: list[str]
    only_here: list[str]

    def plus(self, other: "Agreement") -> "Agreement":
        """Return both, of different creators."""
        here, live = self.only_here + other.only_here, self.only_live + other.only_live
        return Agreement(self.same + other.same, sorted(live), sorted(here))


@dataclass
class Tide:
    """A segment's size at one moment, and what changed since the one before."""

    at: datetime
    size: int
    entered: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    """Fans as `creator/fan`."""
    live: Agreement | None = None
    """With live, as of its last refresh until then; None: it had not been live yet."""


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
            found[-1].live = _agreement(past, name, at, members)
    return found


def _agreement(past: Past, name: str, at: datetime, here: set[str]) -> Agreement | None:
    """Compare with the stays of live, of the creators of whom it had been live by then."""
    rows = past.con.execute(
        "select creator_id, creator_id || '/' || fan_id, left_at is null or left_at > $at"
        f" from {past.table('members')} m where segment_id = $name and entered_at <= $at",
        {"name": name, "at": at},
    ).fetchall()
    if not rows:
        return None
    known = {creator for creator, *_ in rows}
    here = {fan for fan in here if fan.partition("/")[0] in known}
    live = {fan for _, fan, stays in rows if stays}
    return Agreement(len(live & here), sorted(live - here), sorted(here - live))


def together(parts: Sequence[Sequence[Tide]]) -> list[Tide]:
    """Return the tides of several creators, at the same moments, as one."""
    first, *rest = parts
    found = [replace(tide) for tide in first]
    for more in rest:
        for mine, theirs in zip(found, more, strict=True):
            mine.size += theirs.size
            mine.entered = sorted(mine.entered + theirs.entered)
            mine.left = sorted(mine.left + theirs.left)
            both = mine.live and theirs.live and mine.live.plus(theirs.live)
            mine.live = both or mine.live or theirs.live
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
        "live": tides[-1].live and vars(tides[-1].live),
        "days": [
            {"at": t.at, "size": t.size, "entered": t.entered, "left": t.left,
             "live": t.live and vars(t.live)}
            for t in tides
        ],
    }  # fmt: skip

"""When a cron line comes true on the wall clocks of a zone, and whether it is one. Pure.

Counted on the wall clock and only then turned into instants, so 18:00 stays 18:00 when the clocks
change. A time that is skipped comes when the gap ends; a doubled one once.
"""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import NamedTuple
from zoneinfo import ZoneInfo

RECURRING = ("daily", "weekly", "monthly")
"""How a campaign may repeat besides a cron line."""
_MARGIN = timedelta(hours=3)
"""More than any change of clocks."""
_FAR = timedelta(days=366 * 9)
"""29 February comes within eight years; what has not come by then never will."""
_ANY = datetime(2001, 1, 1)  # noqa: DTZ001  (a wall clock's)


class Moment(NamedTuple):
    """One time that a cron line comes true in a zone."""

    wall: datetime
    """What the clock shows, naive."""
    at: datetime
    """The instant, in UTC."""

    @property
    def name(self) -> str:
        """The wall-clock time as text: the same occurrence has the same name in every zone."""
        return self.wall.strftime("%Y-%m-%dT%H:%M")


def fault(text: str, words: Collection[str] = ()) -> str | None:
    """Say what is wrong with a cron line of five fields; None: nothing.

    Args:
        text: the line.
        words: what may stand in its place.
    """
    from croniter import croniter  # a quarter of a second

    if text in words:
        return None
    if len(text.split()) != 5 or not croniter.is_valid(text):
        none = f"none of {', '.join(words)} and " if words else ""
        told = "write minute hour day month weekday (0 18 * * 5)"
        return f"{text!r} is {none}no cron line: {told}"
    if next(_walls(text, _ANY, _ANY + _FAR), None) is None:
        return f"{text!r} never comes: none of its months has such a day"
    return None


def between(cron: str, where: ZoneInfo, after: datetime, upto: datetime) -> list[Moment]:
    """Return the moments in (after, upto], in order; of two names for one instant the first."""
    if upto <= after:
        return []
    walls = _walls(cron, _shown(after, where) - _MARGIN, _shown(upto, where) + _MARGIN)
    found: dict[datetime, Moment] = {}
    for wall in walls:
        at = _instant(wall, where)
        if after < at <= upto:
            found.setdefault(at, Moment(wall, at))
    return sorted(found.values(), key=lambda moment: moment.at)


def following(cron: str, where: ZoneInfo, after: datetime) -> datetime | None:
    """Return the first moment after an instant; None when the line never comes true."""
    start = _shown(after, where) - _MARGIN
    for wall in _walls(cron, start, start + _FAR):
        at = _instant(wall, where)
        if at > after:
            # Behind a gap in the clock, a later time of day may come earlier.
            return between(cron, where, after, at)[0].at
    return None


def _shown(at: datetime, where: ZoneInfo) -> datetime:
    return at.astimezone(where).replace(tzinfo=None)


def _instant(wall: datetime, where: ZoneInfo) -> datetime:
    return wall.replace(tzinfo=where).astimezone(UTC)


def _walls(cron: str, start: datetime, stop: datetime) -> Iterator[datetime]:
    from croniter import CroniterBadDateError, croniter

    lines = croniter(cron, start, max_years_between_matches=9)
    try:
        yield from takewhile(lambda wall: wall <= stop, lines.all_next(datetime))
    except CroniterBadDateError:
        return

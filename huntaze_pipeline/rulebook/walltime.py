"""Wall-clock time in somebody's zone: the next instant at which a clock shows a time of day.

A time that the clock skips is taken at the end of the gap's worth (02:30 becomes 03:30), of a
doubled one the first.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from huntaze_pipeline.rulebook.steps import DAYS


@lru_cache(maxsize=1024)
def zone(name: str | None) -> ZoneInfo:
    """Return the IANA zone of this name; UTC where there is none."""
    try:
        return ZoneInfo(name) if name else ZoneInfo("UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def upcoming(moment: datetime, clock: time, name: str | None, days: Sequence[str] = ()) -> datetime:
    """Return the first instant from `moment` on at which a zone's clock shows a time of day.

    Args:
        moment: aware; itself when the clock shows that time just then.
        clock: the time of day.
        name: the IANA zone; an unknown one counts as UTC.
        days: only on these weekdays; none: on any.
    """
    return _upcoming(moment, clock, zone(name), tuple(days))


@lru_cache(maxsize=16_384)  # the fans of one batch share a handful of zones
def _upcoming(moment: datetime, clock: time, where: ZoneInfo, days: tuple[str, ...]) -> datetime:
    day = moment.astimezone(where).date() - timedelta(days=1)
    for _ in range(10):
        at = _instant(day, clock, where)
        if at >= moment and (not days or DAYS[day.weekday()] in days):
            return at
        day += timedelta(days=1)
    raise AssertionError("a week has every weekday")


def _instant(day: date, clock: time, where: ZoneInfo) -> datetime:
    return datetime.combine(day, clock, tzinfo=where).astimezone(UTC)

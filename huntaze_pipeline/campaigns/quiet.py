"""Wall-clock time in a fan's zone: quiet hours and the instants at which they end.

Windows may cross midnight; days with a missing or a doubled hour are handled. Nothing else of time
is here: repetitions are `schedule`'s.
"""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from huntaze_pipeline.rulebook.policies import QuietHours


def is_quiet(at: datetime, where: ZoneInfo, hours: QuietHours) -> bool:
    """Say whether an instant lies in the quiet hours of a zone; the end is no longer quiet."""
    clock = at.astimezone(where).time()
    if hours.start == hours.end:
        return False
    if hours.start < hours.end:
        return hours.start <= clock < hours.end
    return clock >= hours.start or clock < hours.end


def next_open(at: datetime, where: ZoneInfo, hours: QuietHours) -> datetime:
    """Return the first instant from `at` on that is not quiet, in UTC."""
    if not is_quiet(at, where, hours):
        return at
    # Thousands of fans share a handful of zones and hours; the end is the same for a whole hour,
    # unless it lies in that hour itself.
    early = _opens(at.replace(minute=0, second=0, microsecond=0), where, hours.start, hours.end)
    return early if early > at else _opens(at, where, hours.start, hours.end)


@lru_cache(maxsize=16_384)
def _opens(at: datetime, where: ZoneInfo, start: time, end: time) -> datetime:
    hours = QuietHours(start=start, end=end)
    day = at.astimezone(where).date()
    candidates = [
        instant
        for offset in (-1, 0, 1, 2)
        for instant in instants(day + timedelta(days=offset), hours.end, where)
    ]
    # A doubled hour or a gap can end the quiet hours at a change of the clock itself.
    candidates += _changes(day, where)
    return min(c for c in candidates if c > at and not is_quiet(c, where, hours))


def instants(day: date, clock: time, where: ZoneInfo) -> list[datetime]:
    """Return the UTC instants at which a wall clock shows this time: two in a doubled hour.

    A time that the clock skips is taken at the end of the gap's worth: 02:30 becomes 03:30.
    """
    moments = []
    for fold in (0, 1):
        local = datetime.combine(day, clock, tzinfo=where).replace(fold=fold)
        instant = local.astimezone(UTC)
        if instant.astimezone(where).replace(tzinfo=None) == local.replace(tzinfo=None, fold=0):
            moments.append(instant)
    if not moments:
        moments = [datetime.combine(day, clock, tzinfo=where).astimezone(UTC)]
    return sorted(set(moments))


@lru_cache(maxsize=16_384)
def _changes(day: date, where: ZoneInfo) -> list[datetime]:
    """Return the changes of the zone's clock on a day and in the two days after it."""
    found, step = [], timedelta(hours=1)
    start = datetime.combine(day, time(0), tzinfo=where).astimezone(UTC)
    start = start.replace(minute=0, second=0, microsecond=0)
    for hour in range(75):
        low, high = start + hour * step, start + (hour + 1) * step
        if low.astimezone(where).utcoffset() != high.astimezone(where).utcoffset():
            found.append(_change(low, high, where))
    return found


def _change(low: datetime, high: datetime, where: ZoneInfo) -> datetime:
    """Return the second at which the offset changes between two instants."""
    before = low.astimezone(where).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
        if middle.astimezone(where).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high

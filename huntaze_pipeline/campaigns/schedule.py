"""When a campaign goes out next: wall-clock times in the creator's zone, or days for fans' clocks.

Days, weeks and months are counted here, cron lines in `rulebook.calendar`; all on the wall clock,
as that says.
"""

from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from itertools import count
from typing import Protocol
from zoneinfo import ZoneInfo

from huntaze_pipeline.campaigns.quiet import instants
from huntaze_pipeline.clock import zone
from huntaze_pipeline.rulebook import calendar

_TICK = timedelta(microseconds=1)
_FIRST = timezone(timedelta(hours=15))
"""One hour ahead of the first clock on earth (UTC+14): time enough to decide everybody."""
GRACE = timedelta(minutes=30)
"""So late, a message still goes at once; later it waits for the next day's time."""


class Recurring(Protocol):
    """What of a campaign this module reads."""

    @property
    def start_at(self) -> datetime | None:
        """The first occurrence."""

    @property
    def end_at(self) -> datetime | None:
        """From here on there is no occurrence."""

    @property
    def recurring(self) -> str | None:
        """None: it goes once."""


def upcoming(campaign: Recurring, now: datetime, zone_name: str) -> datetime | None:
    """Return the first occurrence at or after `now`, or None when there is none any more."""
    return following(
        campaign.recurring,
        campaign.start_at or now,
        now - _TICK,
        zone_name,
        campaign.end_at,
    )


def first(
    campaign: Recurring, clock: time | None, now: datetime, zone_name: str
) -> datetime | None:
    """Return when a campaign that begins now is decided first; None: never before its end.

    Args:
        campaign: its dates.
        clock: the time of fans' own clocks at which it goes; None: it goes at its own instants.
        now: the moment at which it begins.
        zone_name: the creator's IANA zone.
    """
    if clock is not None:
        day = upcoming_day(campaign, clock, now, zone_name)
        return day and lead(day, clock)
    if campaign.recurring is None:
        return max(campaign.start_at or now, now)
    return upcoming(campaign, now, zone_name)


def following(
    recurring: str | None,
    start: datetime,
    after: datetime,
    zone_name: str,
    end: datetime | None = None,
) -> datetime | None:
    """Return the first occurrence strictly after an instant.

    Args:
        recurring: None (once), `daily`, `weekly`, `monthly` or a cron line of five fields.
        start: the first occurrence; for a cron line, the instant from which it counts.
        after: the last occurrence that was taken, or any instant.
        zone_name: the creator's IANA zone.
        end: from here on there is no occurrence.
    """
    where = zone(zone_name)
    if recurring is None:
        found = start if start > after else None
    elif recurring in calendar.RECURRING:
        walls = _walls(recurring, start, after, where)
        times = (instants(wall.date(), wall.time(), where)[0] for wall in walls)
        found = next(at for at in times if at > after and at >= start)
    else:
        found = calendar.following(recurring, where, max(after, start - _TICK))
    return found if found is not None and (end is None or found < end) else None


def _walls(recurring: str, start: datetime, after: datetime, where: ZoneInfo) -> Iterator[datetime]:
    """Yield naive wall-clock times, rising, from some time before the one that is wanted."""
    first = start.astimezone(where).replace(tzinfo=None)
    behind = after.astimezone(where).replace(tzinfo=None)
    if recurring == "monthly":
        return _months(first, behind)
    step = timedelta(days=1 if recurring == "daily" else 7)
    skipped = max((behind - first) // step - 1, 0)
    return (first + (skipped + n) * step for n in count())


def _months(first: datetime, behind: datetime) -> Iterator[datetime]:
    """Yield the same day of every month; the 31st is the last day of shorter months."""
    skipped = max((behind.year - first.year) * 12 + behind.month - first.month - 1, 0)
    for number in count(skipped):
        year, month = divmod(first.month - 1 + number, 12)
        year, month = first.year + year, month + 1
        day = min(first.day, monthrange(year, month)[1])
        yield first.replace(year=year, month=month, day=day)


def lead(day: date, clock: time) -> datetime:
    """Return when a day's fans are decided: shortly before the first of them sees that time."""
    return datetime.combine(day, clock, _FIRST).astimezone(UTC)


def day_of(due: datetime) -> date:
    """Return the day whose `lead` an instant is."""
    return due.astimezone(_FIRST).date()


def upcoming_day(campaign: Recurring, clock: time, now: datetime, zone_name: str) -> date | None:
    """Return the first day whose time has not passed on the creator's clock; None: there is none.

    A campaign that goes once goes on the first such day from its start on.
    """
    where = zone(zone_name)
    today = now.astimezone(where).date()
    open_ = today if instants(today, clock, where)[0] >= now else today + timedelta(days=1)
    start = campaign.start_at or now
    if campaign.recurring is None:
        return max(start.astimezone(where).date(), open_)
    before = open_ - timedelta(days=1)
    return following_day(campaign.recurring, start, before, zone_name, clock, campaign.end_at)


def following_day(
    recurring: str,
    start: datetime,
    after: date,
    zone_name: str,
    clock: time,
    end: datetime | None = None,
) -> date | None:
    """Return the first day of a repetition strictly after a day.

    Args:
        recurring: as in `following`; of a cron line only the days count.
        start: its day in the creator's zone is the first.
        after: the last day that was taken.
        zone_name: the creator's IANA zone.
        clock: the time of day.
        end: no day whose time on the creator's clock is not before it.
    """
    where, noon = zone(zone_name), time(12)
    first = instants(start.astimezone(where).date(), noon, where)[0]
    line = f"0 12 {recurring.split(maxsplit=2)[2]}" if len(recurring.split()) == 5 else recurring
    moment = following(line, first, instants(after, noon, where)[0], zone_name)
    day = moment and moment.astimezone(where).date()
    return day if day and (end is None or instants(day, clock, where)[0] < end) else None


def on_clock(
    day: date, clock: time, where: ZoneInfo, now: datetime, before: date | None = None
) -> datetime | None:
    """Return when a fan's clock shows a time: on that day, else on the first day that it still can.

    Args:
        day: the day that is meant.
        clock: the time of day; one that the clock skips is when the gap ends, a doubled one once.
        where: the fan's zone.
        now: nothing goes earlier, but for `GRACE`.
        before: only days before this one, which has a message of its own; None: any day.
    """
    first = max(day, (now - GRACE).astimezone(where).date())
    for ahead in range(3):
        wanted = first + timedelta(days=ahead)
        if before is not None and wanted >= before:
            return None
        at = instants(wanted, clock, where)[0]
        if at >= now - GRACE:
            return at
    return None

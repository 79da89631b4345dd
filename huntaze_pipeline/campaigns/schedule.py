"""When a recurring campaign goes out next: wall-clock times in the creator's zone.

Repetitions are counted on the wall clock and only then turned into instants, so 18:00 stays 18:00
when the clocks change. A time that is skipped goes out when the gap ends; a doubled one once.
"""

import calendar
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from typing import Protocol

from croniter import croniter

from huntaze_pipeline.campaigns.quiet import instants, zone

_LOOK = 5_000
"""Repetitions looked at before giving up; only a cron line that never comes needs more."""


class Recurring(Protocol):
    """What of a campaign this module reads."""

    start_at: datetime | None
    end_at: datetime | None
    recurring: str | None


def upcoming(campaign: Recurring, now: datetime, zone_name: str) -> datetime | None:
    """Return the first occurrence at or after `now`, or None when there is none any more."""
    return following(
        campaign.recurring,
        campaign.start_at or now,
        now - timedelta(microseconds=1),
        zone_name,
        campaign.end_at,
    )


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
        end: no occurrence lies after it.
    """
    if recurring is None:
        return start if start > after and (end is None or start <= end) else None
    where = zone(zone_name)
    for number, local in enumerate(_walls(recurring, start, after, zone_name)):
        at = instants(local.date(), local.time(), where)[0]
        if end is not None and at > end:
            return None
        if at > after and at >= start:
            return at
        if number > _LOOK:
            break
    return None


def _walls(recurring: str, start: datetime, after: datetime, zone_name: str) -> Iterator[datetime]:
    """Yield naive wall-clock times, rising, from some time before the one that is wanted."""
    where = zone(zone_name)
    first = start.astimezone(where).replace(tzinfo=None)
    behind = after.astimezone(where).replace(tzinfo=None)
    if recurring == "monthly":
        return _months(first, behind)
    if recurring in ("daily", "weekly"):
        step = timedelta(days=1 if recurring == "daily" else 7)
        skipped = max((behind - first) // step - 1, 0)
        return (first + (skipped + n) * step for n in count())
    return croniter(recurring, max(first, behind) - timedelta(days=1)).all_next(datetime)


def _months(first: datetime, behind: datetime) -> Iterator[datetime]:
    """Yield the same day of every month; the 31st is the last day of shorter months."""
    skipped = max((behind.year - first.year) * 12 + behind.month - first.month - 1, 0)
    for number in count(skipped):
        year, month = divmod(first.month - 1 + number, 12)
        year, month = first.year + year, month + 1
        day = min(first.day, calendar.monthrange(year, month)[1])
        yield first.replace(year=year, month=month, day=day)

"""Frequency caps: how many messages one fan gets, in any window of a length or by its own calendar.

Pure: when the fan's messages went (or will go) is passed in. Which messages count, and what becomes
of one that is too many, is the gates' business.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from huntaze_pipeline.campaigns.quiet import instants
from huntaze_pipeline.rulebook.policies import Cap

_LONGEST = {"day": timedelta(days=2), "week": timedelta(days=8), "month": timedelta(days=32)}


def broken(
    caps: Sequence[Cap], at: datetime, contacts: Sequence[datetime], where: ZoneInfo
) -> list[Cap]:
    """Return the caps that one more message at an instant would break.

    Args:
        caps: the policies'.
        at: when it would go.
        contacts: when the others went or will go.
        where: the fan's zone.
    """
    return [cap for cap in caps if not _fits(cap, at, contacts, where)]


def _fits(cap: Cap, at: datetime, contacts: Sequence[datetime], where: ZoneInfo) -> bool:
    if isinstance(cap.per, str):
        same = _first_day(at, cap.per, where)
        return sum(_first_day(c, cap.per, where) == same for c in contacts) < cap.count
    near = [at, *(c for c in contacts if at - cap.per < c < at + cap.per)]
    if len(near) <= cap.count:
        return True
    near.sort()
    return all(near[i + cap.count] - near[i] >= cap.per for i in range(len(near) - cap.count))


def first(
    caps: Sequence[Cap],
    moment: datetime,
    contacts: Sequence[datetime],
    where: ZoneInfo,
    opens: Callable[[datetime], datetime] = lambda at: at,
) -> datetime:
    """Return the first instant from `moment` on at which one more message breaks no cap.

    Args:
        caps: the policies'.
        moment: the earliest that is wanted.
        contacts: as in `broken`.
        where: the fan's zone.
        opens: moves an instant on to where nothing else is in the way, such as quiet hours.
    """
    starts = {moment, *(_again(cap, contact, where) for cap in caps for contact in contacts)}
    tried = (opens(at) for at in sorted(starts) if at >= moment)
    return next((at for at in tried if not broken(caps, at, contacts, where)), opens(max(starts)))


def _again(cap: Cap, contact: datetime, where: ZoneInfo) -> datetime:
    """Return when a message no longer counts for a cap."""
    if not isinstance(cap.per, str):
        return contact + cap.per
    day = _first_day(contact, cap.per, where)
    following = day + timedelta(days={"day": 1, "week": 7, "month": 31}[cap.per])
    if cap.per == "month":
        following = following.replace(day=1)
    return instants(following, time(0), where)[0]


def _first_day(at: datetime, period: str, where: ZoneInfo) -> date:
    """Return the day that a period of the fan's calendar begins with."""
    day = at.astimezone(where).date()
    if period == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if period == "month" else day


def longest(caps: Sequence[Cap]) -> timedelta:
    """Return how far back messages may matter."""
    spans = (_LONGEST[cap.per] if isinstance(cap.per, str) else cap.per for cap in caps)
    return max(spans, default=timedelta(0))

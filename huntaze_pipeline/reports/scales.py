"""From values to places: round steps for numbers, calendar steps for time. Nothing is drawn."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from huntaze_pipeline.reports import writing

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_DAYS = (1, 2, 7, 14)
_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120)
_HOURS = (1, 3, 6, 12)
DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Scale:
    """A straight line from values to places."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return the place of a value."""
        span = self.high - self.low
        return self.start + (self.end - self.start) * ((value - self.low) / span if span else 0.5)


def ticks(low: float, high: float, most: int, *, whole: bool = False) -> list[float]:
    """Return round values from at or below `low` to at or above `high`, about `most` of them.

    Args:
        low: least value.
        high: greatest value.
        most: how many fit.
        whole: for counts: no fractions between them.
    """
    if high - low <= max(abs(low), abs(high)) * 1e-9 + 1e-12:
        high = low + (
            abs(low) if abs(low) > 1e-9 else 1.0
        )  # one value, or so close that nobody could tell them apart
    raw = (high - low) / max(most - 1, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * s for s in _STEPS if power * s >= raw * (1 - 1e-9))
    if whole:
        step = max(1.0, math.ceil(step - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [n * step for n in range(first, max(last, first + 1) + 1)]


def moment(value: Any) -> float:
    """Return a date or instant as seconds since 1970, UTC."""
    if isinstance(value, datetime):
        return value.timestamp() if value.tzinfo else value.replace(tzinfo=UTC).timestamp()
    return datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp()


def calendar(low: float, high: float, most: int, *, whole: bool = False) -> list[tuple[float, str]]:
    """Return round moments between two, with their labels; at most about `most`.

    Steps are hours, days, weeks (Mondays), months or years; at midnight the day is written.
    `whole` is for days without hours.
    """
    first, last = datetime.fromtimestamp(low, UTC), datetime.fromtimestamp(high, UTC)
    span = max(high - low, 1.0)
    if span <= 2 * DAY and not whole:
        step = next((h for h in _HOURS if span / 3600 / h <= most), 24)
        return _labelled(_hourly(first, last, step), step)
    for step in _DAYS:
        if span / DAY / step <= most:
            return _labelled(_daily(first, last, step), 24)
    step = next((m for m in _MONTHS if span / DAY / 30.4 / m <= most), _MONTHS[-1])
    found = _monthly(first, last, step)
    label = (lambda at: str(at.year)) if step >= 12 else (lambda at: writing.month(at))
    return [(at.timestamp(), label(at)) for at in found]


def _labelled(found: Sequence[datetime], hours: int) -> list[tuple[float, str]]:
    return [
        (at.timestamp(), f"{at:%H:%M}" if hours < 24 and at.hour else _short(at)) for at in found
    ]


def _short(at: date) -> str:
    return f"{at.day} {writing.MONTHS[at.month - 1]}"


def _hourly(first: datetime, last: datetime, step: int) -> list[datetime]:
    at = first.replace(minute=0, second=0, microsecond=0)
    at -= timedelta(hours=at.hour % step)
    return _until(at, first, last, timedelta(hours=step))


def _daily(first: datetime, last: datetime, step: int) -> list[datetime]:
    at = first.replace(hour=0, minute=0, second=0, microsecond=0)
    if step >= 7:
        at -= timedelta(days=at.weekday())
    return _until(at, first, last, timedelta(days=step))


def _until(at: datetime, first: datetime, last: datetime, step: timedelta) -> list[datetime]:
    found = []
    while at <= last:
        if at >= first:
            found.append(at)
        at += step
    return found


def _monthly(first: datetime, last: datetime, step: int) -> list[datetime]:
    number = (first.year * 12 + first.month - 1) // step * step
    found = []
    while True:
        at = datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)
        if at > last:
            return found
        if at >= first:
            found.append(at)
        number += step

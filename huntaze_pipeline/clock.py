"""Time as a value that is passed in. Nothing outside this module asks the machine for the time.

Instants are aware UTC everywhere; wall-clock rules convert to the fan's zone where they apply.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

Clock = Callable[[], datetime]

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"^(\d+(?:\.\d+)?)(ms|s|m|h|d|w)$")


def system_clock() -> datetime:
    """Return the machine's time, aware UTC."""
    return datetime.now(UTC)


class FixedClock:
    """A clock that stands still until it is moved; for tests, backtests and replays."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        """Return the instant the clock shows."""
        return self.at

    def advance(self, by: timedelta) -> None:
        """Move the clock forward by a duration."""
        self.at += by


def duration(text: str) -> timedelta:
    """Read a typed duration such as ``90s``, ``15m``, ``24h``, ``7d`` or ``2w``.

    Raises:
        ValueError: the text has no unit or is no duration; bare numbers are never accepted.
    """
    match = _DURATION.match(text.strip())
    if match is None:
        raise ValueError(
            f"{text!r} is no duration: write a number with a unit, one of {', '.join(_UNITS)} (24h)"
        )
    try:
        return timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    except OverflowError:
        raise ValueError(f"{text!r} is longer than any calendar") from None


@cache
def zones() -> frozenset[str]:
    """Return the names of all IANA zones; read once, for that takes a tenth of a second."""
    return frozenset(available_timezones())


@lru_cache(maxsize=1024)
def zone(name: str | None, fallback: str | None = None) -> ZoneInfo:
    """Return the IANA zone of this name; an unknown one gives the fallback, then UTC."""
    for candidate in (name, fallback):
        try:
            if candidate:
                return ZoneInfo(candidate)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            continue
    return ZoneInfo("UTC")

"""Bounds that depend on the batch: `now + 1d`, `usual * 3 + 50`. Nothing else is computed.

`now` is the batch's own instant, never the machine's clock; `usual` is what is usual for the size
of this campaign's audience.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from huntaze_pipeline.clock import duration

_FORM = re.compile(
    r"^(?P<name>now|usual)\s*(?:\*\s*(?P<factor>\d+(?:\.\d+)?))?"
    r"\s*(?:(?P<sign>[+-])\s*(?P<offset>\d+(?:\.\d+)?[a-z]*))?$"
)


@dataclass(frozen=True, slots=True)
class Formula:
    """A parameter, times a factor, plus an offset."""

    name: str
    factor: float
    offset: float | timedelta

    @classmethod
    def read(cls, value: Any, *, instant: bool = False) -> Any:
        """Return a formula for a text that is one, an instant for a date where one is meant."""
        match = _FORM.match(value.strip()) if isinstance(value, str) else None
        if match is None:
            return _instant(value) if instant else value
        sign = -1 if match["sign"] == "-" else 1
        offset: float | timedelta = 0.0
        if match["offset"]:
            given = match["offset"]
            offset = sign * (duration(given) if match["name"] == "now" else float(given))
        return cls(match["name"], float(match["factor"] or 1), offset)


def resolve(formula: Formula, given: Mapping[str, Any]) -> Any:
    """Compute a formula; None when its parameter is not known for this batch."""
    value = given.get(formula.name)
    if value is None:
        return None
    if isinstance(value, datetime):
        return value + formula.offset if isinstance(formula.offset, timedelta) else value
    return value * formula.factor + (
        0 if isinstance(formula.offset, timedelta) else formula.offset
    )  # fmt: skip


def _instant(value: Any) -> Any:
    """A date is its first instant in UTC; a naive time is UTC."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    return value

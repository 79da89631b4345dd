"""What an event is: its fields, the closed list of names, and the check of one event.

Storage is `inbox`; files are `importer`. Nothing here touches a database.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from huntaze_pipeline.currency import CURRENCIES
from huntaze_pipeline.errors import Problem

NAMES = (
    "subscribed", "unsubscribed", "purchase", "tip", "redeemed", "replied", "viewed", "sent",
    "delivered", "opened", "clicked", "bounced", "complained", "failed", "entered_segment",
    "left_segment", "scheduled", "anniversary", "silent",
)  # fmt: skip
"""Besides these, a name may be `custom:` and a word. The last three are made by the clock."""
CUSTOM = re.compile(r"^custom:[a-z][a-z0-9_.-]{0,62}$")
MONEY = ("purchase", "tip")
"""Events that carry a value; the value is never negative."""
FUTURE = timedelta(days=1)
"""How far ahead of us a clock may be before its time is refused."""
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
"""What is older is no event, as in a file; before the first year nobody could read it again."""
MICROS = 1_000_000
LIMIT_MICROS = 10**15
"""A thousand million units: more than that in one event is a mistake of unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A fact about a fan. `event_id` is the sender's: the same id twice is the same fact."""

    creator_id: str
    event_id: str
    name: str
    fan_id: str
    occurred_at: datetime
    source: str
    """api | receipt | sender | rule | clock | import:<id>"""
    platform: str | None = None
    account_id: str | None = None
    campaign_id: str | None = None
    message_id: str | None = None
    value_micros: int | None = None
    currency: str | None = None
    properties: dict[str, Any] = field(default_factory=dict)


def known_name(name: str) -> bool:
    """Say whether an event may have this name."""
    return name in NAMES or CUSTOM.fullmatch(name) is not None


def micros(value: float | str | int) -> int:
    """Return an amount of money as whole micro-units, rounded half even on its decimal digits.

    Raises:
        ValueError: it is no finite number, or larger than any payment.
    """
    from decimal import Decimal, InvalidOperation

    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise ValueError(f"{value!r} is no amount of money") from None
    if not number.is_finite() or abs(number) * MICROS > LIMIT_MICROS:
        raise ValueError(f"{value!r} is no amount of money")
    return int((number * MICROS).to_integral_value())


def faults(event: Event, now: datetime, where: str = "event") -> list[Problem]:
    """Return everything that is wrong with an event; an empty list means it can be stored."""
    found = [*_texts(event, where), *_money(event, where), *_time(event, now, where)]
    if not known_name(event.name):
        allowed = ", ".join(NAMES)
        found.append(
            Problem(f"{where}.name", f"{event.name!r} is unknown; one of {allowed}, custom:word")
        )
    return found


def _texts(event: Event, where: str) -> Sequence[Problem]:
    found: list[Problem] = []
    for name in ("event_id", "fan_id", "platform", "account_id", "campaign_id", "message_id"):
        value = getattr(event, name)
        if value is None and name not in ("event_id", "fan_id"):
            continue
        if not value or len(value) > 255 or "\x00" in value:
            found.append(Problem(f"{where}.{name}", "must be a text of 1 to 255 characters"))
    return found


def _money(event: Event, where: str) -> Sequence[Problem]:
    found: list[Problem] = []
    value, currency = event.value_micros, event.currency
    if value is None and event.name in MONEY:
        found.append(Problem(f"{where}.value", f"a {event.name} needs a value"))
    if value is not None and (value < 0 or value > LIMIT_MICROS or math.isnan(value)):
        found.append(Problem(f"{where}.value", f"{value} micro-units: must be 0 or more"))
    if value is not None and currency is None:
        found.append(Problem(f"{where}.currency", "is missing; a value needs its currency (USD)"))
    if currency is not None and currency not in CURRENCIES:
        found.append(Problem(f"{where}.currency", f"{currency!r} is no ISO 4217 code such as USD"))
    return found


def _time(event: Event, now: datetime, where: str) -> Sequence[Problem]:
    at = event.occurred_at
    if at.tzinfo is None:
        return [Problem(f"{where}.occurred_at", "has no zone; write 2026-03-02T12:00:00Z")]
    if at < EARLIEST:
        return [Problem(f"{where}.occurred_at", f"{at.isoformat()} is before 1970")]
    if at > now + FUTURE:
        return [Problem(f"{where}.occurred_at", f"{at.isoformat()} is more than a day ahead")]
    return []

"""The kinds of value that rule files hold: durations, times of day, events, platforms, zones.

Each reads what a person writes and says in its error what would be right.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)

from huntaze_pipeline.clock import duration
from huntaze_pipeline.currency import CURRENCIES
from huntaze_pipeline.events.envelope import NAMES, known_name
from huntaze_pipeline.rulebook.fields import nearest
from huntaze_pipeline.store.people import PLATFORMS

ID = re.compile(r"^[a-z][a-z0-9_-]{0,63}$")
LOCALES = ("en", "fr", "es")


def written(value: timedelta) -> str:
    """Return a duration as it is written in files, in the largest unit that fits."""
    for unit, seconds in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        if value % timedelta(seconds=seconds) == timedelta(0):
            return f"{value // timedelta(seconds=seconds)}{unit}"
    return f"{value // timedelta(milliseconds=1)}ms"


def _duration(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise ValueError(
            f"{value!r} is no duration: write a number with a unit (90s, 15m, 24h, 7d)"
        )
    return duration(value)


_MEANT = {
    **dict.fromkeys(
        ("subscriber", "subscribe", "subscription", "follower", "follow"), "subscribed"
    ),
    **dict.fromkeys(("unsubscribe", "unfollow", "cancelled", "churned"), "unsubscribed"),
    **dict.fromkeys(("order", "sale", "bought", "payment", "purchased"), "purchase"),
    **dict.fromkeys(("message", "reply", "message_received"), "replied"),
}
"""What others call events, where the spelling leads to the wrong one."""


def _event(value: Any) -> Any:
    if isinstance(value, str) and not known_name(value):
        meant = _MEANT.get(value.lower().removeprefix("new_").removesuffix("s"))
        hint = f"; did you mean {meant!r}?" if meant else nearest(value, NAMES)
        raise ValueError(f"unknown event {value!r}{hint} (or custom:word)")
    return value


def _platform(value: Any) -> Any:
    if value not in PLATFORMS:
        raise ValueError(f"unknown platform {value!r}{nearest(str(value), PLATFORMS)}")
    return value


def _currency(value: Any) -> Any:
    if value not in CURRENCIES:
        raise ValueError(f"unknown currency {value!r}; write an ISO 4217 code (USD)")
    return value


def _platforms(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _time_of_day(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
        return time.fromisoformat(value)
    if isinstance(value, time):
        return value
    raise ValueError(f"{value!r} is no time of day: write 22:00")


def _moment(value: Any) -> Any:
    """Refuse a bare number: it would be taken for seconds since 1970."""
    if isinstance(value, int | float | str) and re.fullmatch(r"-?[\d.]+", str(value)):
        raise ValueError(f"{value!r} is no instant: write 2027-03-05T18:00:00Z")
    return value


def _instant(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError(f"{value.isoformat()} has no zone; write {value.isoformat()}Z")
    return value.astimezone(UTC)


def _start(value: Any) -> datetime | date:
    """Read an instant, or a whole day."""
    try:
        found = date.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{value!r} is no instant: write 2027-03-05T18:00:00Z") from None
    if isinstance(found, datetime):
        return _instant(found)
    if not isinstance(found, date):
        raise ValueError(f"{value!r} is no instant: write 2027-03-05T18:00:00Z")
    return found


class OneOrMore:
    """Lets the JSON Schema of a list take its only item by itself, as reading does."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: Any) -> dict[str, Any]:
        """Return the schema of the item, or of the list."""
        schema = handler(core)
        return {"anyOf": [schema["items"], schema]}


CONDITION: dict[str, Any] = {
    "description": "SQL expression over fan and event, or all / any / not of {field, op, value}",
    "anyOf": [{"type": "string"}, {"type": "object"}, {"type": "array"}],
}
DURATION: dict[str, Any] = {"type": "string", "pattern": r"^\d+(\.\d+)?(ms|s|m|h|d|w)$"}
Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(written),
    WithJsonSchema(DURATION),
]
TimeOfDay = Annotated[
    time,
    BeforeValidator(_time_of_day),
    PlainSerializer(lambda at: at.strftime("%H:%M")),
    WithJsonSchema({"type": "string", "pattern": r"^([01]\d|2[0-3]):[0-5]\d$"}),
]
EventName = Annotated[
    str,
    BeforeValidator(_event),
    WithJsonSchema({"anyOf": [{"enum": list(NAMES)}, {"type": "string", "pattern": "^custom:"}]}),
]
Platform = Annotated[str, BeforeValidator(_platform), WithJsonSchema({"enum": list(PLATFORMS)})]
Currency = Annotated[
    str, BeforeValidator(_currency), WithJsonSchema({"type": "string", "pattern": "^[A-Z]{3}$"})
]
Platforms = Annotated[tuple[Platform, ...], BeforeValidator(_platforms), OneOrMore]
Instant = Annotated[datetime, BeforeValidator(_moment), AfterValidator(_instant)]
Start = Annotated[datetime | date, BeforeValidator(_start)]
Where = Annotated[Any, WithJsonSchema(CONDITION)]
Priority = Literal["high", "medium", "low"]
Text = Annotated[str, Field(min_length=1, max_length=20_000)]


class Strict(BaseModel):
    """Every key is known or is an error; values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    short: ClassVar[Mapping[str, Any] | None] = None
    """The JSON Schema of what may stand instead of the keys, such as a template's name."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: Any) -> dict[str, Any]:
        """Return the schema of the keys, or of the short form where there is one."""
        found = handler(core)
        if cls.short is not None:
            place = handler.resolve_ref_schema(found)
            keys = dict(place)
            place.clear()
            place.update({"anyOf": [dict(cls.short), keys]})
        return found

    def plain(self) -> dict[str, Any]:
        """Return JSON-like data; reading it again gives the same rule."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

"""What sets an automation off: an event, a segment's coming and going, the calendar, a silence.

Belongs here: the keys of `trigger`, and which event each kind comes down to. The planner sees
events only; those of the calendar and of silences are made by `timing`.
"""

import re
from datetime import time
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from huntaze_pipeline import hashing
from huntaze_pipeline.events.envelope import NAMES
from huntaze_pipeline.rulebook import calendar
from huntaze_pipeline.rulebook.units import (
    ID,
    Duration,
    EventName,
    Platforms,
    Strict,
    TimeOfDay,
)

KINDS = ("event", "entered", "left", "schedule", "anniversary", "silence")
TIMED = {"schedule": "scheduled", "anniversary": "anniversary", "silence": "silent"}
"""Kinds whose events the clock makes, and the names of those events."""
_SEGMENT = {"entered": "entered_segment", "left": "left_segment"}
_NAME = {"anyOf": [{"enum": list(NAMES)}, {"type": "string", "pattern": "^custom:"}]}
_ATTRIBUTE = re.compile(r"^attributes\.[\w-]{1,64}$")


def _cron(value: Any) -> Any:
    if told := calendar.fault(str(value)):
        raise ValueError(told)
    return str(value)


def _dated(value: Any) -> Any:
    if value not in ("birthday", "subscribed") and not _ATTRIBUTE.fullmatch(str(value)):
        raise ValueError(f"{value!r} is no date of a fan: birthday, subscribed or attributes.name")
    return value


def _several(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


SegmentId = Annotated[str, Field(pattern=ID.pattern)]


class Silence(Strict):
    """No event of these names for so long, after there was one."""

    event: Annotated[
        tuple[EventName, ...],
        BeforeValidator(_several),
        Field(min_length=1),
        WithJsonSchema({"anyOf": [_NAME, {"type": "array", "items": _NAME, "minItems": 1}]}),
    ]
    for_: Annotated[Duration, Field(alias="for")]
    platform: Platforms = ()
    """Only events on these platforms count; empty: any."""

    @model_validator(mode="after")
    def _some_time(self) -> "Silence":
        if self.for_.total_seconds() < 60:
            raise ValueError("for: a silence lasts at least 1m")
        return self


class Trigger(Strict):
    """What an automation reacts to: exactly one of the keys in `KINDS`."""

    happened: Annotated[EventName | None, Field(alias="event")] = None
    """An event about the fan."""
    platform: Platforms = ()
    """Of the event; empty: any platform."""
    having: Annotated[
        dict[str, str | int | float | bool], Field(alias="properties", default_factory=dict)
    ]
    """Properties that the event must have, with these values."""
    entered: SegmentId | None = None
    """A segment that the fan came into."""
    left: SegmentId | None = None
    """A segment that the fan fell out of."""
    schedule: Annotated[str | None, BeforeValidator(lambda v: v if v is None else _cron(v))] = None
    """A cron line on the wall clock of `zone`; for every fan, or those of `segment`."""
    anniversary: Annotated[str | None, BeforeValidator(lambda v: v if v is None else _dated(v))] = (
        None
    )
    """The day of the year of birthday, subscribed or attributes.NAME (a date), `at` a time."""
    silence: Silence | None = None
    """No such event for so long; once each time."""
    at: TimeOfDay | None = None
    zone: Literal["fan", "creator"] | None = None
    """Whose wall clock; the fan's when nothing is said."""
    segment: SegmentId | None = None
    """Only its members at that moment."""
    expires_after: Duration | None = None
    """How late the moment may still be acted on, after an outage; 24h when nothing is said, for a
    silence any time."""

    @model_validator(mode="after")
    def _one(self) -> "Trigger":
        given = [kind for kind in KINDS if self._given(kind) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise ValueError(f"a trigger has one of {', '.join(KINDS)}; here is {found}")
        kind = given[0]
        calendar = kind in ("schedule", "anniversary")
        goes_with = (
            ("platform", bool(self.platform), kind == "event", "event"),
            ("properties", bool(self.having), kind == "event", "event"),
            ("at", self.at is not None, kind == "anniversary", "anniversary"),
            ("zone", self.zone is not None, calendar, "schedule and anniversary"),
            ("segment", self.segment is not None, calendar, "schedule and anniversary"),
            ("expires_after", self.expires_after is not None, kind in TIMED, ", ".join(TIMED)),
        )
        for key, there, allowed, where in goes_with:
            if there and not allowed:
                raise ValueError(f"`{key}` goes with {where}, not with {kind}")
        return self

    def _given(self, kind: str) -> Any:
        return self.happened if kind == "event" else getattr(self, kind)

    @property
    def kind(self) -> str:
        """Which of `KINDS` this is."""
        return next(kind for kind in KINDS if self._given(kind) is not None)

    @property
    def event(self) -> str:
        """The name of the event that it comes down to."""
        return self.happened or _SEGMENT.get(self.kind) or TIMED[self.kind]

    @property
    def properties(self) -> dict[str, str | int | float | bool]:
        """What that event must have."""
        if self.kind in TIMED:
            return {"trigger": self.key}
        segment = self.entered or self.left
        return {"segment": segment} if segment else self.having

    @property
    def key(self) -> str:
        """The content's hash: triggers that say the same share their clock and its events."""
        return hashing.content(self.plain())

    @property
    def cron(self) -> str:
        """The moments of the calendar as a cron line on a wall clock; anniversaries look daily."""
        at = self.at or time(9)
        return self.schedule or f"{at.minute} {at.hour} * * *"

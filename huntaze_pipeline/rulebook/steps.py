"""The steps of an automation as they are written: one model with one key a kind.

Belongs here: the keys of a step and what one step alone can tell. The program that steps become is
`flow`, what a step does is `planner`'s business.
"""

import re
from datetime import timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from huntaze_pipeline.rulebook.units import (
    CONDITION,
    DURATION,
    ID,
    Duration,
    EventName,
    OneOrMore,
    Platform,
    Platforms,
    Priority,
    Strict,
    Text,
    TimeOfDay,
    Where,
)

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_OWN = r"^custom:[a-z][a-z0-9_.-]{0,62}$"
_EXIT = {"anyOf": [{"const": True}, *CONDITION["anyOf"]]}
Scalar = str | int | float | bool | None
Word = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\w-]+$")]


def _several(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Words = Annotated[tuple[Word, ...], BeforeValidator(_several), Field(min_length=1), OneOrMore]
Weekdays = Annotated[
    tuple[
        Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"], ...
    ],
    BeforeValidator(_several),
    OneOrMore,
]


class Occurrence(Strict):
    """An event that is waited for: its name, and what it must be like."""

    event: EventName | None = None
    platform: Platforms = ()
    """Empty: any platform."""
    properties: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Properties that the event must have, with these values."""
    conditions: Where = None
    """Asked of that event, and of the fan as of it."""

    @model_validator(mode="after")
    def _about_an_event(self) -> "Occurrence":
        if self.event is None and (self.platform or self.properties):
            raise ValueError("platform and properties are an event's; name the `event`")
        return self


class Goal(Occurrence):
    """When a fan leaves an automation early.

    With `event`: as soon as that happens. With `conditions` alone: when they hold before a step.
    """

    short = CONDITION

    @model_validator(mode="before")
    @classmethod
    def _condition(cls, value: Any) -> Any:
        known = isinstance(value, dict) and not ({"all", "any", "not", "field"} & set(value))
        return value if known else {"conditions": value}

    @model_validator(mode="after")
    def _something(self) -> "Goal":
        if self.event is None and not self.conditions:
            raise ValueError("name an `event` or write `conditions`")
        return self


class Wait(Occurrence):
    """Until when a fan waits: so long, until a time of day, or until an event or a time-out."""

    short = DURATION

    for_: Annotated[Duration | None, Field(alias="for")] = None
    until: TimeOfDay | None = None
    """The next time that the clock of `zone` shows this."""
    on: Weekdays = ()
    """Only on these days of the week; none: on any."""
    zone: Literal["fan", "creator"] = "fan"
    timeout: Duration | None = None
    """How long an event is waited for."""

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        return value if isinstance(value, dict) else {"for": value}

    @model_validator(mode="after")
    def _one(self) -> "Wait":
        if sum(part is not None for part in (self.for_, self.until, self.event)) != 1:
            raise ValueError("choose one of for (3d), until (18:00) and event")
        if (self.event is None) != (self.timeout is None):
            raise ValueError("`event` and `timeout` go together: nobody waits for ever")
        if self.on and self.until is None:
            raise ValueError("`on` goes with `until`: a day needs a time of day")
        if self.event is None and self.conditions:
            raise ValueError("`conditions` are those of the event; name the `event`")
        return self


class Send(Strict):
    """One message."""

    short = {"type": "string", "minLength": 1}

    template: str | None = None
    content: Text | None = None
    subject: Annotated[str, Field(min_length=1, max_length=300)] | None = None
    platform: Platform | None = None
    """None: the event's platform when the fan has an address there, else the fan's first one."""
    variables: dict[str, Any] = Field(default_factory=dict)
    priority: Priority | None = None
    topic: str | None = None
    expires_after: Duration | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        return {"template": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one(self) -> "Send":
        if (self.template is None) == (self.content is None):
            raise ValueError("write either `template` (its id) or `content` (the text)")
        return self


class Action(Send):
    """One message of the short form, some time after the event."""

    type: Literal["send_message"] = "send_message"
    delay: Duration = timedelta(0)
    """Since the event, not since the step before."""
    conditions: Where = None
    """Asked besides the automation's own, at the moment of this step."""


class Emit(Strict):
    """An event of one's own, about the same fan; other automations may react to it."""

    short = {"type": "string", "pattern": _OWN}

    event: Annotated[str, Field(pattern=_OWN)]
    properties: dict[str, Scalar] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        return {"event": value} if isinstance(value, str) else value


class Webhook(Strict):
    """A signed request to a server outside."""

    short = {"type": "string", "pattern": "^https://"}

    url: Annotated[str, Field(min_length=1, max_length=2000)]
    body: dict[str, Any] = Field(default_factory=dict)
    """Goes out as `data`; texts may hold words such as {{ fan.id }}."""
    headers: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _by_address(cls, value: Any) -> Any:
        return {"url": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _safe(self) -> "Webhook":
        parts = urlsplit(self.url)
        if parts.scheme != "https" or not parts.hostname or parts.username or parts.password:
            raise ValueError(f"{self.url!r}: write https://host/path, without user and password")
        for name, value in self.headers.items():
            if not re.fullmatch(r"[A-Za-z0-9-]{1,64}", name) or re.search(r"[\r\n\x00]", value):
                raise ValueError(f"{name!r} is no header that can be sent")
        return self


class Way(Strict):
    """One way of a split, and its share of the fans."""

    id: Annotated[str, Field(pattern=ID.pattern)] | None = None
    weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1
    steps: "tuple[Step, ...]" = ()


KINDS = (
    "send", "wait", "if", "split", "exit",
    "set", "tag", "untag", "join", "leave", "emit", "webhook",
)  # fmt: skip
"""What a step can be."""
ACTS = ("send", "set", "tag", "untag", "join", "leave", "emit", "webhook")
"""Steps that do something; before each the automation's conditions are asked again."""


def _one_kind(schema: dict[str, Any]) -> None:
    schema["oneOf"] = [{"required": [kind]} for kind in KINDS]


class Step(Strict):
    """One step of an automation: exactly one of the keys from `send` to `webhook`."""

    model_config = ConfigDict(json_schema_extra=_one_kind)

    id: Annotated[str, Field(pattern=ID.pattern)] | None = None
    """A name of the step; fans who wait there find it again when the file changes."""
    send: Send | None = None
    """A message: a template's id, or more about it."""
    wait: Wait | None = None
    """So long (3d), until a time of day, or until an event or a time-out."""
    if_: Annotated[Where, Field(alias="if")] = None
    """A condition; `then` and `else` say how it goes on."""
    then: "tuple[Step, ...]" = ()
    """What follows when the condition holds, or when the event that was waited for came."""
    else_: Annotated["tuple[Step, ...]", Field(alias="else")] = ()
    """What follows otherwise, or after the time-out."""
    split: Annotated[tuple[Way, ...], Field(min_length=2)] | None = None
    """Each fan takes one of these ways, by a stable hash."""
    exit: Annotated[Where, WithJsonSchema(_EXIT)] = None
    """`true`, or a condition: when it holds, the fan leaves."""
    set: dict[Word, Scalar] | None = None
    """Attributes of the fan and their new values; null takes one away."""
    tag: Words | None = None
    untag: Words | None = None
    join: str | None = None
    """A segment that is a list of fans."""
    leave: str | None = None
    emit: Emit | None = None
    webhook: Webhook | None = None
    conditions: Where = None
    """Without them the step is not taken; asked besides the automation's own."""

    @model_validator(mode="after")
    def _single(self) -> "Step":
        kinds = [kind for kind in KINDS if self._given(kind)]
        if len(kinds) != 1:
            found = " and ".join(kinds) or "none of them"
            raise ValueError(f"a step has one of {', '.join(KINDS)}; here is {found}")
        if self.conditions and kinds[0] not in ACTS:
            raise ValueError(f"`conditions` do not go with {kinds[0]}; use `if`")
        self._ways(kinds[0])
        return self

    def _ways(self, kind: str) -> None:
        awaits = self.wait is not None and self.wait.event is not None
        if (self.then or self.else_) and kind != "if" and not awaits:
            raise ValueError("`then` and `else` go with `if`, or with `wait` for an event")
        if kind == "if" and not (self.then or self.else_):
            raise ValueError("`if` needs steps under `then` or `else`")
        if kind == "exit" and self.exit is False:
            raise ValueError("exit: write true or a condition")
        if self.split and sum(way.weight for way in self.split) <= 0:
            raise ValueError("split: at least one way needs a weight above 0")
        if self.set is not None and not self.set:
            raise ValueError("set: name at least one attribute")

    def _given(self, kind: str) -> bool:
        return getattr(self, "if_" if kind == "if" else kind) is not None

    @property
    def kind(self) -> str:
        """Which of `KINDS` this is."""
        return next(kind for kind in KINDS if self._given(kind))

    @property
    def blocks(self) -> "tuple[tuple[tuple[str | int, ...], tuple[Step, ...]], ...]":
        """The lists of steps inside, each with where it is written."""
        if self.split is not None:
            return tuple((("split", i, "steps"), way.steps) for i, way in enumerate(self.split))
        if self.then or self.else_:
            return (("then",), self.then), (("else",), self.else_)
        return ()


Way.model_rebuild()
Step.model_rebuild()

"""Tests that live in rule files: who there is, what happens, what is expected. Their shape only.

Running them is `rehearsal`'s; whether the names in them exist is `casting`'s. A test is no part of
the rule that it is about: it changes neither its content hash nor what becomes live.
"""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from huntaze_pipeline.clock import duration
from huntaze_pipeline.events.envelope import MONEY
from huntaze_pipeline.rulebook.units import (
    ID,
    Currency,
    Duration,
    EventName,
    Instant,
    OneOrMore,
    Platform,
    Platforms,
    Priority,
    Strict,
)

START = datetime(2027, 3, 1, 12, tzinfo=UTC)
"""When a test begins that does not say: Monday noon, UTC."""
SOMEBODY = "ada"
"""The fan of a test that names none."""
_YEARS = (1970, 2200)
_LONGEST = timedelta(days=36_500)
FanId = Annotated[str, Field(min_length=1, max_length=255)]


def _when(value: Any) -> Any:
    """Read a duration since the start, an instant, or (without a zone) the fan's own clock."""
    if isinstance(value, str) and re.match(r"^\d{4}-\d\d-\d\d", value):
        return _in_time(datetime.fromisoformat(value))
    if isinstance(value, str):
        return _short(duration(value))
    if isinstance(value, datetime | timedelta):
        return _in_time(value) if isinstance(value, datetime) else _short(value)
    raise ValueError(f"{value!r}: write a time since the start (36h) or 2027-03-02T09:00:00Z")


def _in_time(value: datetime) -> datetime:
    """Keep clear of the calendar's ends: days before and after must still have a name."""
    if not _YEARS[0] <= value.year <= _YEARS[1]:
        raise ValueError(f"{value.isoformat()}: tests play between {_YEARS[0]} and {_YEARS[1]}")
    return value


def _short(value: timedelta) -> timedelta:
    if value > _LONGEST:
        raise ValueError(f"{value.days} days: a test spans at most {_LONGEST.days}")
    return value


def _texts(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


When = Annotated[
    timedelta | datetime, BeforeValidator(_when), WithJsonSchema({"type": "string"})
]  # fmt: skip
Texts = Annotated[tuple[str, ...], BeforeValidator(_texts), OneOrMore]


class Person(Strict):
    """A fan of a test: reachable on OnlyFans and agreed to everything unless it says otherwise."""

    name: str | None = "Ada Lovelace"
    zone: str | None = "UTC"
    locale: str | None = "en"
    birthday: date | None = None
    tags: tuple[str, ...] = ()
    attributes: dict[str, Any] = Field(default_factory=dict)
    platforms: Platforms = ("onlyfans",)
    """Where the fan has an address."""
    segments: tuple[str, ...] | None = None
    """In these for the whole test; None: computed from what happens."""
    consents: dict[str, bool] = Field(default_factory=dict)
    """Topic to answer; topics that are not named are agreed to."""
    suppressed: Platforms = ()
    """Platforms where the address must not be written to."""
    last_inbound: Annotated[Duration, AfterValidator(_short)] | None = None
    """How long before the start the fan wrote last."""


class Cast(Person):
    """A fan of a story, or many who are alike."""

    times: Annotated[int, Field(ge=1, le=10_000)] = 1
    """So many fans: of `crowd` they are crowd-1, crowd-2 …; `fan: crowd` means each of them."""


class Happening(Strict):
    """Something that happens: an event, an answer about consent, the end of a campaign's test."""

    event: EventName | None = None
    consents: dict[str, bool] = Field(default_factory=dict)
    winner: str | None = None
    """The campaign's test is over; whoever waited gets this variant, or with `none` nothing."""
    fan: FanId | None = None
    """None: the only fan."""
    at: When = timedelta(0)
    id: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    platform: Platform | None = None
    """None: the trigger's, else the fan's first."""
    value: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    currency: Currency = "USD"
    campaign: str | None = None
    message: str | None = None
    properties: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one(self) -> "Happening":
        if sum((self.event is not None, bool(self.consents), self.winner is not None)) != 1:
            raise ValueError(
                "write either `event` (its name), `consents` (topic: true or false) or `winner`"
                " (a variant)"
            )
        if self.event in MONEY and self.value is None:
            raise ValueError(f"a {self.event} needs a value")
        return self


class Past(Happening):
    """Something that happened before the test begins; no rule reacts to it."""

    ago: Annotated[Duration, AfterValidator(_short)]

    @model_validator(mode="after")
    def _before(self) -> "Past":
        if "at" in self.model_fields_set:
            raise ValueError("what was before the start says `ago`, not `at`")
        if self.winner is not None:
            raise ValueError("a test ends after its campaign's start: write `winner` in `events`")
        return self


EFFECTS = ("set", "tag", "untag", "join", "leave", "emit", "webhook")
"""Kinds of outcome that are done to the fan or elsewhere."""
KINDS_OF_OUTCOME = (
    "send", "skip", "wait", "way", "enter", "out", "hold", "exit", "complete", "cancel", *EFFECTS,
)  # fmt: skip


class Expect(Strict):
    """One thing that the rule must do. Its kind is the one of `KINDS_OF_OUTCOME` that it names."""

    send: str | Literal[True] | None = None
    """A message: the id of its template, or true for any."""
    skip: str | Literal[True] | None = None
    """A step that sends nothing: how its reason begins, or true."""
    wait: Duration | Literal[True] | None = None
    """A step that waits: for how long."""
    enter: Literal[True] | None = None
    """The fan enters."""
    out: Literal["conditions", "entry", "audience", "excluded", "cap"] | Literal[True] | None = None
    """The trigger fits and the fan does not enter; or the campaign comes and is not for the fan:
    because of what."""
    way: str | Literal[True] | None = None
    """How a step that chooses goes on: then, else, a way's id, event, timeout, exit, stays."""
    hold: Literal[True] | None = None
    """The fan is held out: enters and gets nothing."""
    exit: str | Literal[True] | None = None
    """The passage ends early: how its reason begins."""
    complete: Literal[True] | None = None
    """The passage is through."""
    cancel: str | Literal[True] | None = None
    """The passage is given up: how its reason begins."""
    set: dict[str, Any] | Literal[True] | None = None
    """Attributes of the fan, these among others."""
    tag: str | Literal[True] | None = None
    untag: str | Literal[True] | None = None
    join: str | Literal[True] | None = None
    leave: str | Literal[True] | None = None
    emit: str | Literal[True] | None = None
    """The event's name."""
    webhook: str | Literal[True] | None = None
    """How its address begins."""
    rule: str | None = None
    fan: FanId | None = None
    at: When | None = None
    times: Annotated[int, Field(ge=1, le=10_000)] = 1
    """So often."""
    says: Texts = ()
    """Texts that the message holds."""
    never_says: Texts = ()
    subject: str | None = None
    platform: Platform | None = None
    priority: Priority | None = None
    topic: str | None = None
    variant: str | None = None
    """The arm of a campaign that the fan is in."""
    reason: str | None = None
    """Why a message was put off, such as quiet_hours."""
    until: When | None = None
    """For a skip: when it could be yes."""

    @model_validator(mode="after")
    def _single(self) -> "Expect":
        if len(self._kinds()) != 1:
            raise ValueError(f"name one of {', '.join(KINDS_OF_OUTCOME)}")
        return self

    def _kinds(self) -> list[str]:
        return [kind for kind in KINDS_OF_OUTCOME if getattr(self, kind) is not None]

    @property
    def kind(self) -> str:
        """Which of `KINDS_OF_OUTCOME` it is."""
        return self._kinds()[0]


class Setting(Strict):
    """What every test says: its name, its clock, its fans, what was and what happens."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    clock: Annotated[Instant, AfterValidator(_in_time)] = START
    creator: dict[Literal["name", "zone", "currency"], str] = Field(default_factory=dict)
    fans: dict[FanId, Cast] = Field(default_factory=lambda: {SOMEBODY: Cast()})
    before: tuple[Past, ...] = ()
    events: tuple[Happening, ...] = ()
    until: When | None = None
    """How long to go on; None: until nothing waits and everything expected has had its time."""

    @model_validator(mode="after")
    def _peopled(self) -> "Setting":
        if not self.fans:
            raise ValueError("a test needs at least one fan; leave `fans` out for a sample fan")
        return self


class Case(Setting):
    """A test of automations and campaigns. Of each kind of outcome that it names, it names all.

    Messages are always compared: one that is not expected is a failure.
    """

    expect: tuple[Expect, ...]


class Membership(Strict):
    """Who is in a segment at some moment of a test."""

    at: When = timedelta(0)
    members: tuple[FanId, ...]


class SegmentCase(Setting):
    """A test of a segment."""

    expect: Annotated[tuple[Membership, ...], Field(min_length=1)]


class Reading(Strict):
    """What a fan must read, or why there is nothing to read."""

    says: Texts = ()
    never_says: Texts = ()
    subject: str | None = None
    locale: str | None = None
    """The language that was chosen."""
    fails: str | None = None
    """Part of the reason why it cannot be made."""


class TemplateCase(Strict):
    """A test of a template: one fan reads it on one platform."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    platform: Platform
    fan: Person = Person()
    facts: dict[str, Any] = Field(default_factory=dict)
    """Fields of `fan` that rules compute, such as lifetime_spend."""
    event: Happening | None = None
    variables: dict[str, Any] = Field(default_factory=dict)
    expect: Reading


class Suite(Strict):
    """A file of rules/tests: stories in which several automations and campaigns meet."""

    description: str = ""
    rules: tuple[Annotated[str, Field(pattern=ID.pattern)], ...] = ()
    """The automations that are live in these tests."""
    campaigns: tuple[Annotated[str, Field(pattern=ID.pattern)], ...] = ()
    """The campaigns that are started when a test begins."""
    tests: Annotated[tuple[Case, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _some(self) -> "Suite":
        if not self.rules and not self.campaigns:
            raise ValueError("name at least one automation (`rules`) or campaign (`campaigns`)")
        both = sorted(set(self.rules) & set(self.campaigns))
        if both:
            raise ValueError(f"{both[0]!r} is an automation and a campaign: test them apart")
        return self

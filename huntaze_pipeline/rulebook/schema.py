"""The shape of rule files: one model a kind of file, the internal form of all that is a rule.

Belongs here: keys, and what one file alone can tell. Values are `units`, an automation's steps
`steps`, policies are `policies`; what needs a second file (does that template exist?) is
`references`' business.
"""

import re
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from huntaze_pipeline.events.envelope import LIMIT_MICROS, MICROS
from huntaze_pipeline.rulebook import calendar
from huntaze_pipeline.rulebook.cases import Case, SegmentCase, TemplateCase
from huntaze_pipeline.rulebook.steps import Action, Goal, Step
from huntaze_pipeline.rulebook.trigger import Trigger
from huntaze_pipeline.rulebook.units import (
    ID,
    Currency,
    Duration,
    Instant,
    Platform,
    Platforms,
    Priority,
    Start,
    Strict,
    Text,
    TimeOfDay,
    Where,
)


class Named(Strict):
    """What every rule file says about itself."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    description: str = ""


class Segment(Named):
    """A named set of fans: by a condition (dynamic) or by a list of fan ids (static)."""

    where: Where = None
    fans: tuple[str, ...] | None = None
    file: str | None = None
    """A .csv or .txt with the ids, beside the rule; reading the rules puts them into `fans`."""
    tests: Annotated[tuple[SegmentCase, ...], Field(exclude=True)] = ()

    @model_validator(mode="before")
    @classmethod
    def _dynamic(cls, value: Any) -> Any:
        if isinstance(value, dict) and "isDynamic" in value:
            told = {"error": "write true or false, and `criteria` or `members`"}
            raise PydanticCustomError("value_error", "{error}", told | {"at": ("isDynamic",)})
        return value

    @model_validator(mode="after")
    def _one(self) -> "Segment":
        if sum(given is not None for given in (self.where, self.fans, self.file)) != 1:
            raise ValueError(
                "write either `where` (a condition), `fans` (a list of ids) or `file` (its name)"
            )
        return self


class Entry(Strict):
    """How often a fan may enter: `once`, `always`, at most every so long, or once per key."""

    short = {"enum": ["once", "always"]}

    once: bool = False
    every: Duration | None = None
    per: str | None = None
    """A field such as `event.properties.order_id`: one entry for each of its values."""

    @model_validator(mode="before")
    @classmethod
    def _word(cls, value: Any) -> Any:
        if value in ("once", "always"):
            return {"once": value == "once"}
        if isinstance(value, str):
            raise ValueError(f"{value!r}: write once, always, every: 7d or per: event.properties.x")
        return value

    @model_validator(mode="after")
    def _single(self) -> "Entry":
        if sum((self.once, self.every is not None, self.per is not None)) > 1:
            raise ValueError("choose one of once, every and per")
        if self.per and not re.fullmatch(r"event(\.[\w-]+){1,3}", self.per):
            raise ValueError(f"{self.per!r} is no event field; write event.properties.order_id")
        return self


class Automation(Named):
    """A rule that reacts to events: when, for whom, what."""

    trigger: Trigger
    conditions: Where = None
    entry: Entry = Entry()
    exit: Goal | None = None
    """When a fan leaves early: its goal is reached."""
    holdout: Annotated[float, Field(ge=0, lt=1)] = 0
    """Share of the fans who enter but get nothing, to compare with; by a stable hash."""
    on_change: Literal["pin", "follow", "restart"] = "pin"
    """What becomes of fans on their way when the file changes: they go on with the version that
    they entered with, go on with the new one from the same step, or begin anew."""
    actions: Annotated[tuple[Action, ...], Field(max_length=50)] = ()
    """The short form of steps: messages whose delays count from the event."""
    steps: Annotated[tuple[Step, ...], Field(max_length=100)] = ()
    active: Annotated[bool, Field(strict=True)] = True
    tests: Annotated[tuple[Case, ...], Field(exclude=True)] = ()

    @model_validator(mode="after")
    def _one_form(self) -> "Automation":
        if bool(self.actions) == bool(self.steps):
            raise ValueError("write either `steps` or `actions`, and at least one of them")
        delays = [action.delay for action in self.actions]
        if delays != sorted(delays):
            raise ValueError(
                "actions stand in the order of their delays, which count from the event"
            )
        return self


class Copy(Strict):
    """What is sent on one platform in one language."""

    subject: Annotated[str, Field(min_length=1, max_length=300)] | None = None
    body: Text


class Variable(Strict):
    """A word that a template needs from whoever uses it."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    description: str = ""
    default: Any = None
    """A value, or one per locale; without it the variable must be given."""


class Settings(Strict):
    """How a message goes out when nobody says otherwise."""

    topic: str = "marketing"
    priority: Priority = "medium"
    expires_after: Duration | None = None


class Template(Named):
    """Content that is ready to use, per platform and language."""

    category: Annotated[str, Field(min_length=1, max_length=60)]
    platforms: Annotated[Platforms, Field(min_length=1)]
    settings: Settings = Settings()
    variables: tuple[Variable, ...] = ()
    content: dict[Platform, dict[str, Copy]]
    tests: Annotated[tuple[TemplateCase, ...], Field(exclude=True)] = ()

    @model_validator(mode="after")
    def _complete(self) -> "Template":
        lacking = [p for p in self.platforms if not self.content.get(p)]
        if lacking:
            raise ValueError(f"content is missing for {', '.join(lacking)}")
        bare = [p for p, copies in self.content.items() if "en" not in copies]
        if bare:
            raise ValueError(f"English (en), the fallback, is missing for {', '.join(bare)}")
        return self


class Schedule(Strict):
    """When a campaign goes out: on the creator's wall clock, or with `local` on each fan's own."""

    start: Start | None = None
    """An instant; with `local` a day will do (2027-03-05)."""
    end: Instant | None = None
    recurring: str | None = None
    """daily, weekly, monthly or a cron line (`0 18 * * 5`; with `local` `0 0 * * 5`)."""
    local: TimeOfDay | None = None
    """18:00: each fan gets it when its own clock shows this time on the day."""

    @model_validator(mode="after")
    def _ordered(self) -> "Schedule":
        if self.local is None and self.start and not isinstance(self.start, datetime):
            raise ValueError(
                f"start {self.start} is a day: write {self.start}T18:00:00Z, or a time of each"
                ' fan\'s own clock beside it (local: "18:00")'
            )
        if isinstance(self.start, datetime) and self.end and self.end <= self.start:
            raise ValueError(
                f"end {self.end.isoformat()} is not after start {self.start.isoformat()}"
            )
        if self.recurring and self.recurring not in calendar.RECURRING:
            if told := calendar.fault(self.recurring, calendar.RECURRING):
                raise ValueError(told)
            if self.local and self.recurring.split()[:2] != ["0", "0"]:
                days = " ".join(self.recurring.split()[2:])
                raise ValueError(
                    f"{self.recurring!r}: the time of day is `local`'s; write '0 0 {days}'"
                )
        return self


class Targeting(Strict):
    """Whom a campaign is for: the union of segments (none: everybody) minus exclusions."""

    segments: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    cap: Annotated[int, Field(gt=0)] | None = None
    """At most so many fans, chosen by a stable hash."""


class Arm(Strict):
    """One variant of a campaign; the first is the control."""

    id: Annotated[str, Field(pattern=ID.pattern)]
    weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1
    template: str | None = None
    variables: dict[str, Any] = Field(default_factory=dict)


FALLBACKS = ("control", "highest", "none")
"""What may be sent when no arm has won, besides a named variant."""


class Test(Strict):
    """How the A/B test is decided, fixed before it starts."""

    __test__ = False

    metric: Literal["opened", "clicked", "converted", "revenue"] = "clicked"
    share: Annotated[float, Field(gt=0, le=1)] = 1
    """Part of the audience that is in the test; the rest gets the winner when there is one."""
    window: Duration = timedelta(days=3)
    minimum: Duration = timedelta(days=1)
    """No verdict earlier than this after the start."""
    maximum: Duration | None = None
    """The test is over this long after its start, whatever was found."""
    planned: Annotated[int, Field(gt=0)] | None = None
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    method: Literal["group_sequential", "always_valid", "exact"] | None = None
    tuning: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 5000
    """N* of the always-valid method."""
    margin: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Absolute difference that does not matter."""
    guardrail: Annotated[float, Field(ge=0, lt=1)] = 0.01
    """How much higher a winner's rate of unsubscribes and complaints may be."""
    fallback: str = "control"
    """What is sent when nothing wins: control, highest, none or a variant's id."""

    @model_validator(mode="after")
    def _fits(self) -> "Test":
        if self.method == "exact" and self.metric == "revenue":
            raise ValueError("method exact is for yes/no metrics, not for revenue")
        if self.maximum is not None and self.maximum < self.window:
            raise ValueError("maximum is shorter than window: nobody would ever count")
        return self


class Cost(Strict):
    """What a campaign costs; ROI divides by these and by imported costs."""

    kind: Literal["fixed", "per_message", "discount", "media"]
    """Once; for each message sent; for each goal reached that is credited to it; once."""
    amount: Annotated[float, Field(ge=0, le=LIMIT_MICROS / MICROS, allow_inf_nan=False)]
    currency: Currency
    on: date | None = None
    """The day of a fixed or media cost; the campaign's start when it is left out."""

    @model_validator(mode="after")
    def _dated(self) -> "Cost":
        if self.on is not None and self.kind in ("per_message", "discount"):
            raise ValueError(f"a {self.kind} cost has the days of its messages or goals, not `on`")
        return self


class Campaign(Named):
    """A planned send to an audience."""

    type: str = "broadcast"
    platforms: Annotated[Platforms, Field(min_length=1)]
    template: str
    schedule: Schedule = Schedule()
    targeting: Targeting = Targeting()
    variables: dict[str, Any] = Field(default_factory=dict)
    topic: str | None = None
    priority: Priority | None = None
    expires_after: Duration | None = None
    holdout: Annotated[float, Field(ge=0, lt=1)] = 0
    """Share of the audience kept out on purpose, to compare with."""
    goal: str | None = None
    """What counts as converted, by its name in goals.yaml; purchases when it is left out."""
    costs: tuple[Cost, ...] = ()
    variants: tuple[Arm, ...] = ()
    experiment: Test | None = None
    tests: Annotated[tuple[Case, ...], Field(exclude=True)] = ()

    @field_validator("variants")
    @classmethod
    def _apart(cls, variants: tuple[Arm, ...]) -> tuple[Arm, ...]:
        names = [arm.id for arm in variants]
        twice = next((i for i, name in enumerate(names) if name in names[:i]), None)
        if twice is not None:
            told = {"error": f"variants have different ids, not {', '.join(names)}"}
            raise PydanticCustomError("value_error", "{error}", told | {"at": (twice, "id")})
        return variants

    @model_validator(mode="after")
    def _arms(self) -> "Campaign":
        names = [arm.id for arm in self.variants]
        if self.variants and sum(arm.weight for arm in self.variants) <= 0:
            raise ValueError("at least one variant needs a weight above 0")
        if self.experiment and len(self.variants) < 2:
            raise ValueError("an experiment needs at least two variants")
        if self.experiment and self.experiment.fallback not in (*FALLBACKS, *names):
            known = ", ".join((*FALLBACKS, *names))
            raise ValueError(f"fallback {self.experiment.fallback!r} is none of {known}")
        return self


KINDS: dict[str, type[Strict]] = {
    "segments": Segment,
    "automations": Automation,
    "campaigns": Campaign,
    "templates": Template,
}
"""Folder of rules/ to the model of its files."""

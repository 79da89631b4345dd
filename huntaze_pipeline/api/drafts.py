"""What a request for a campaign looks like, and how it becomes a `Draft`. Its rules are there."""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import ConfigDict, Field, JsonValue

from huntaze_pipeline.api.mending import Mended
from huntaze_pipeline.api.shapes import Id, Name, Request, instant
from huntaze_pipeline.campaigns.draft import Arm, Draft, Trial
from huntaze_pipeline.clock import duration
from huntaze_pipeline.errors import Problem
from huntaze_pipeline.events.envelope import LIMIT_MICROS, MICROS

T = TypeVar("T")

_EXAMPLE = {
    "name": "Spring drop",
    "type": "broadcast",
    "platforms": ["onlyfans", "email"],
    "templateId": "flash_sale",
    "schedule": {
        "startDate": "2027-03-20T18:00:00Z",
        "endDate": "2027-03-27T18:00:00Z",
        "recurring": None,
    },
    "targeting": {"segmentIds": ["engaged"]},
}


class Schedule(Request):
    """When a campaign runs; all of it may be left out: then it goes when it is started."""

    start_date: str | None = Field(
        default=None,
        json_schema_extra={"format": "date-time"},
        description="First send; absent: at start. With localTime a day will do: 2027-03-05",
    )
    end_date: str | None = Field(
        default=None,
        json_schema_extra={"format": "date-time"},
        description="Nothing goes from here on",
    )
    recurring: str | None = Field(
        default=None,
        max_length=100,
        description="daily, weekly, monthly or a cron line, in the creator's zone",
    )
    local_time: str | None = Field(
        default=None, max_length=20, description="18:00: on each fan's own clock"
    )


class Targeting(Request):
    """Who it is for: fans in any of the segments, without those in an excluded one."""

    segment_ids: list[Id] = Field(default=[], max_length=100)
    exclude_segment_ids: list[Id] = Field(default=[], max_length=100)
    cap: int | None = Field(default=None, le=100_000_000, description="At most so many fans")


class Cost(Request):
    """What a campaign costs, for its ROI."""

    kind: Literal["fixed", "per_message", "discount", "media"] = Field(
        description="Once; for each message sent; for each goal credited to it; once"
    )
    amount: float = Field(ge=0, le=LIMIT_MICROS / MICROS, allow_inf_nan=False)
    currency: str = Field(pattern="^[A-Z]{3}$", description="ISO 4217")
    on: date | None = Field(default=None, description="Day of a fixed or media cost")


class StartRequest(Request):
    """What may be said when a campaign is started."""

    override_quality: str | None = Field(
        default=None,
        min_length=1,
        max_length=500,
        description="Why the next occurrence may go although its audience fails the gate",
    )
    allow_incomplete: bool = Field(
        default=False, description="Skip the fans who lack a word that the template says"
    )


class Options(Request):
    """How it is sent."""

    topic: str | None = Field(default=None, min_length=1, max_length=100)
    priority: str | None = Field(default=None, description="high, medium or low")
    expires_after: str | None = Field(default=None, max_length=20, description="A duration: 24h")
    holdout: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="Share of the audience that gets nothing, to compare with",
    )
    variables: dict[str, JsonValue] | None = Field(
        default=None, description="Values for the template"
    )
    costs: list[Cost] | None = Field(default=None, max_length=20)
    goal: str | None = Field(
        default=None, min_length=1, max_length=63, description="What counts as converted"
    )


class Variant(Request):
    """One arm of an A/B test."""

    id: Annotated[str, Field(min_length=1, max_length=60)]
    weight: float = Field(default=1, ge=0, le=1_000_000, allow_inf_nan=False)
    template_id: Id | None = None
    variables: dict[str, JsonValue] = {}


class Experiment(Request):
    """An A/B test and the rule by which it will be decided, fixed beforehand."""

    variants: list[Variant] = Field(max_length=20)
    metric: str = Field(default="clicked", description="opened, clicked, converted or revenue")
    share: float = Field(
        default=1, gt=0, le=1, description="Part of the audience in the test; the rest waits"
    )
    window: str = Field(
        default="24h", max_length=20, description="A recipient counts after this long"
    )
    planned_recipients: int | None = Field(default=None, ge=1, le=1_000_000_000)
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    maximum: str | None = Field(
        default=None, max_length=20, description="Over this long after the start: 14d"
    )
    margin: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="A difference that does not matter"
    )
    guardrail: float = Field(
        default=0.01, ge=0, lt=1, description="How many more may unsubscribe or complain"
    )
    fallback: str = Field(
        default="control",
        max_length=60,
        description="What is sent when nothing wins: control, highest, none or a variant's id",
    )
    fallback_variant_id: str | None = Field(
        default=None, description="The same for a variant; wins over fallback"
    )


class CampaignRequest(Mended):
    """A new campaign."""

    stand_ins: ClassVar[Mapping[str, Any]] = {"name": "-", "platforms": []}

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    name: Name
    type: Annotated[str, Field(min_length=1, max_length=60)] = "broadcast"
    platforms: list[str] = Field(
        max_length=20, description="onlyfans, instagram, tiktok, email; one or more"
    )
    template_id: Id | None = None
    schedule: Schedule = Schedule()
    targeting: Targeting = Targeting()
    settings: Options = Options()
    ab_tests: list[Experiment] = Field(default=[], max_length=1)

    def draft(self) -> tuple[Draft, list[Problem]]:
        """Return what is asked for, in the words of the domain, and the texts that say nothing.

        A text that is no instant or no duration is a fault like any other: it is told together with
        those that only the domain can see.
        """
        unread: list[Problem] = []
        start = _read(self.schedule.start_date, _start, "schedule.startDate", unread)
        draft = Draft(
            name=self.name,
            type=self.type,
            platforms=tuple(self.platforms),
            template_id=self.template_id,
            start_at=start if isinstance(start, datetime) else None,
            start_day=None if isinstance(start, datetime) else start,
            local_time=self.schedule.local_time,
            end_at=_read(self.schedule.end_date, instant, "schedule.endDate", unread),
            recurring=self.schedule.recurring,
            segments=tuple(self.targeting.segment_ids),
            excluded=tuple(self.targeting.exclude_segment_ids),
            cap=self.targeting.cap,
            settings=self.settings.model_dump(mode="json", exclude_none=True),
            trial=_trial(self.ab_tests[0], unread) if self.ab_tests else None,
        )
        _read(self.settings.expires_after, duration, "settings.expiresAfter", unread)
        return draft, unread


def _start(text: str) -> datetime | date:
    """Read an instant or, for fans' own clocks, a day."""
    return date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else instant(text)


def _trial(test: Experiment, unread: list[Problem]) -> Trial:
    arms = (Arm(v.id, v.weight, v.template_id, v.variables) for v in test.variants)
    window = _read(test.window, duration, "abTests.0.window", unread)
    maximum = _read(test.maximum, duration, "abTests.0.maximum", unread)
    return Trial(
        arms=tuple(arms),
        metric=test.metric,
        window_s=int(window.total_seconds()) if window else 0,
        planned_n=test.planned_recipients,
        alpha=test.alpha,
        fallback=test.fallback_variant_id or test.fallback,
        share=test.share,
        maximum_s=int(maximum.total_seconds()) if maximum else None,
        margin=test.margin,
        guardrail=test.guardrail,
    )


def _read(
    text: str | None, reader: Callable[[str], T], where: str, unread: list[Problem]
) -> T | None:
    """Read a text, or note why it cannot be read."""
    if text is None:
        return None
    try:
        return reader(text)
    except ValueError as error:
        unread.append(Problem(where, str(error)))
    except OverflowError:
        unread.append(Problem(where, f"{text!r} is too long"))
    return None

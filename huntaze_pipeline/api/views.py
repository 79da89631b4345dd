"""What campaigns and their numbers look like on the way out. Shapes only; reading is elsewhere."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal

from sqlalchemy import Row

from huntaze_pipeline.api.shapes import Moment, Response
from huntaze_pipeline.campaigns.forecast import Forecast
from huntaze_pipeline.events.envelope import MICROS
from huntaze_pipeline.measurement import rates, standing
from huntaze_pipeline.measurement.analytics import Analytics, Counts


class Metrics(Response):
    """How far a campaign has come: messages, and for `converted` purchases."""

    sent: int = 0
    opened: int = 0
    clicked: int = 0
    converted: int = 0


class Counted(Response):
    """Every count, with machines and, as human, without; converters are fans who converted."""

    sent: int = 0
    delivered: int = 0
    opened: int = 0
    clicked: int = 0
    human_opened: int = 0
    human_clicked: int = 0
    converted: int = 0
    converters: int = 0


class RateView(Response):
    """A share with its 95 % Wilson interval; null where there is nothing to be a share of."""

    numerator: int
    denominator: int
    rate: float | None
    low: float | None
    high: float | None


class Told(Response):
    """Numbers that say what they are and as of when."""

    source: Literal["live", "settled"]
    """live: PostgreSQL at this instant; settled: the lake as of its last build."""
    as_of: Moment
    counts: Counted
    rates: dict[str, RateView]
    revenue: float


class ScheduleView(Response):
    """When a campaign runs."""

    start_date: Moment | None
    end_date: Moment | None
    recurring: str | None
    local_time: str | None
    """On each fan's own clock; then `nextSendAt` is shortly before the first clock shows it."""


class CampaignView(Response):
    """A campaign."""

    id: str
    name: str
    type: str
    status: str
    """draft | scheduled | active | paused | completed | cancelled"""
    platforms: list[str]
    template_id: str | None
    schedule: ScheduleView
    targeting: dict[str, Any]
    settings: dict[str, Any]
    next_send_at: Moment | None
    stopped: dict[str, Any] | None
    """Why the audience's gate paused it: {reason, failed, due_at, at}."""
    metrics: Metrics
    numbers: Told | None
    """The same numbers and more, live; settled for a campaign from before the inbox."""
    settled: Told | None
    """What the last build of the lake said, once there was one."""
    conversions: int
    ab_tests: list[dict[str, Any]]
    created_at: Moment
    updated_at: Moment


class OutcomeView(Response):
    """What would become of so many fans, for the same reason."""

    state: str
    """decided | held | skipped"""
    reason: str | None
    fans: int
    examples: list[str]
    earliest_at: Moment | None


class PriceView(Response):
    """What a declared cost comes to; no total while nobody can know it."""

    kind: str
    amount: float
    currency: str
    times: int | None
    total: float | None


class SampleView(Response):
    """One message as it would go out."""

    fan_id: str
    platform: str
    subject: str | None
    content: str
    not_before: Moment


class PreviewView(Response):
    """What would come of one occurrence of a campaign; nothing of it is written."""

    campaign_id: str
    at: Moment
    audience: int
    messages: int
    outcomes: list[OutcomeView]
    platforms: dict[str, int]
    first_at: Moment | None
    last_at: Moment | None
    eta: str
    """5,000 messages on 1 account at 10 a minute: about 8 h 25 min"""
    eta_seconds: float
    costs: list[PriceView]
    totals: dict[str, float]
    """What is known to be paid, by currency."""
    samples: list[SampleView]


class CampaignPage(Response):
    """One page of campaigns, newest first."""

    campaigns: list[CampaignView]
    total: int
    limit: int
    offset: int


class Numbers(Response):
    """What came of messages: impressions are deliveries, conversions are purchases."""

    impressions: int
    clicks: int
    conversions: int
    revenue: float
    """In units of the creator's currency."""


class Breakdown(Numbers):
    """The same with the steps before, and what the fan itself did."""

    sent: int
    opened: int
    human_opened: int
    human_clicked: int


class Day(Breakdown):
    """One day in the creator's zone, or with `by=hour` one hour of it."""

    date: date
    hour: int | None = None
    """0 to 23 on the creator's clock."""
    at: Moment | None = None
    """Its beginning; two hours of a day may have one name when summer time ends."""


class AnalyticsView(Response):
    """A campaign's numbers, several ways; each but by segment adds up to the same."""

    overview: Numbers
    by_platform: dict[str, Breakdown]
    by_variant: dict[str, Breakdown]
    by_segment: dict[str, Breakdown]
    """By the segments that fans were in when their message was decided; they overlap."""
    timeline: list[Day]
    numbers: Told
    last_settled: Told | None
    campaign_id: str
    currency: str
    revenue_in_other_currencies: dict[str, float]
    cost: float
    roi: float | None
    roi_note: str | None
    as_of: Moment
    settled: bool


def campaign(
    row: Row[Any],
    counts: Counts | None,
    tests: Sequence[Mapping[str, Any]] = (),
    *,
    as_of: datetime,
) -> CampaignView:
    """Return a campaign as it goes out; without live counts its settled ones stand for them."""
    last = settled(row.metrics)
    numbers = last if counts is None else told("live", counts, as_of)
    metrics = _metrics(row.metrics if counts is None else counts)
    return CampaignView(
        id=row.id,
        name=row.name,
        type=row.type,
        status=row.status,
        platforms=row.platforms,
        template_id=row.template_id,
        schedule=ScheduleView(
            start_date=row.start_at,
            end_date=row.end_at,
            recurring=row.recurring,
            local_time=row.local_time,
        ),
        targeting=row.targeting,
        settings=row.settings,
        next_send_at=row.next_send_at,
        stopped=row.stopped,
        metrics=metrics,
        numbers=numbers,
        settled=last,
        conversions=metrics.converted,
        ab_tests=[_test(test) for test in tests],
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def preview(campaign_id: str, found: Forecast) -> PreviewView:
    """Return a forecast as it goes out."""
    known = found.told()
    return PreviewView(
        **{
            name: known[name]
            for name in PreviewView.model_fields
            if name in known and name not in ("outcomes", "costs", "samples")
        },
        campaign_id=campaign_id,
        outcomes=[OutcomeView(**outcome) for outcome in known["outcomes"]],
        costs=[PriceView(**price) for price in known["costs"]],
        samples=[SampleView(**sample) for sample in known["samples"]],
    )


def told(source: Literal["live", "settled"], counts: Counts, as_of: datetime) -> Told:
    """Return counts with their rates, what they are and as of when."""
    return Told(
        source=source,
        as_of=as_of,
        counts=Counted(**{name: getattr(counts, name) for name in Counted.model_fields}),
        rates={
            rate.metric: RateView(**{name: getattr(rate, name) for name in RateView.model_fields})
            for rate in rates.of(counts)
        },
        revenue=counts.revenue_micros / MICROS,
    )


def settled(kept: Mapping[str, Any]) -> Told | None:
    """Return what the last build wrote with the campaign; None before there was one."""
    last = standing.settled(kept)
    return None if last is None else told("settled", last[1], last[0])


def _metrics(found: Counts | Mapping[str, Any]) -> Metrics:
    names = Metrics.model_fields
    if isinstance(found, Counts):
        return Metrics(**{name: getattr(found, name) for name in names})
    return Metrics(**{name: found.get(name) or 0 for name in names})


def analytics(
    row: Row[Any],
    found: Analytics,
    *,
    currency: str,
    cost_micros: int,
    as_of: datetime,
    by: Literal["day", "hour"] = "day",
) -> AnalyticsView:
    """Return live analytics as they go out; ROI needs a cost, and says so when there is none."""
    revenue = found.overview.revenue_micros
    return AnalyticsView(
        campaign_id=row.id,
        currency=currency,
        overview=Numbers(**_numbers(found.overview)),
        by_platform=_parts(found.by_platform),
        by_variant=_parts(found.by_variant),
        by_segment=_parts(found.by_segment),
        timeline=_days(found) if by == "day" else _hours(found),
        numbers=told("live", found.overview, as_of),
        last_settled=settled(row.metrics),
        revenue_in_other_currencies={c: m / MICROS for c, m in found.elsewhere.items()},
        cost=cost_micros / MICROS,
        roi=(revenue - cost_micros) / cost_micros if cost_micros else None,
        roi_note=None if cost_micros else "no cost is recorded for this campaign",
        as_of=as_of,
        settled=False,
    )


def _parts(found: Mapping[str, Counts]) -> dict[str, Breakdown]:
    return {name: Breakdown(**_steps(counts)) for name, counts in found.items()}


def _days(found: Analytics) -> list[Day]:
    return [Day(date=day, **_steps(counts)) for day, counts in found.timeline.items()]


def _hours(found: Analytics) -> list[Day]:
    return [
        Day(date=hour.day, hour=hour.hour, at=hour.at, **_steps(counts))
        for hour, counts in found.hours.items()
    ]


def _numbers(counts: Counts) -> dict[str, Any]:
    return {
        "impressions": counts.delivered,
        "clicks": counts.clicked,
        "conversions": counts.converted,
        "revenue": counts.revenue_micros / MICROS,
    }


def _steps(counts: Counts) -> dict[str, Any]:
    names = ("sent", "opened", "human_opened", "human_clicked")
    return _numbers(counts) | {name: getattr(counts, name) for name in names}


def _test(test: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": test["id"],
        "campaignId": test["campaign_id"],
        "metric": test["metric"],
        "state": test["state"],
        "share": test["share"],
        "winnerVariantId": test["winner_variant_id"],
        "fallback": test["fallback"],
        "fallbackVariantId": test["fallback_variant_id"],
        "decidedAt": test["decided_at"] and test["decided_at"].isoformat(),
        "variants": [
            {"id": v["id"], "weight": v["weight"], "templateId": v["template_id"]}
            for v in test["variants"]
        ],
    }

"""What numbers look like on the way out: counts, rates, a campaign's analytics. Shapes only.

Counting is `measurement.analytics`; the campaign around them is `views`.
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Literal

from sqlalchemy import Row

from huntaze_pipeline.api.shapes import Moment, Response
from huntaze_pipeline.events.envelope import MICROS
from huntaze_pipeline.measurement import rates, standing
from huntaze_pipeline.measurement.analytics import Analytics, Counts


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


def analytics(
    row: Row[Any],
    live: Analytics,
    *,
    currency: str,
    cost_micros: int,
    as_of: datetime,
    by: Literal["day", "hour"] = "day",
) -> AnalyticsView:
    """Return live analytics as they go out; ROI needs a cost, and says so when there is none."""
    revenue = live.overview.revenue_micros
    return AnalyticsView(
        campaign_id=row.id,
        currency=currency,
        overview=Numbers(**_numbers(live.overview)),
        by_platform=_parts(live.by_platform),
        by_variant=_parts(live.by_variant),
        by_segment=_parts(live.by_segment),
        timeline=_days(live) if by == "day" else _hours(live),
        numbers=told("live", live.overview, as_of),
        last_settled=settled(row.metrics),
        revenue_in_other_currencies={c: m / MICROS for c, m in live.elsewhere.items()},
        cost=cost_micros / MICROS,
        roi=(revenue - cost_micros) / cost_micros if cost_micros else None,
        roi_note=None if cost_micros else "no cost is recorded for this campaign",
        as_of=as_of,
        settled=False,
    )


def _parts(parts: Mapping[str, Counts]) -> dict[str, Breakdown]:
    return {name: Breakdown(**_steps(counts)) for name, counts in parts.items()}


def _days(live: Analytics) -> list[Day]:
    return [Day(date=day, **_steps(counts)) for day, counts in live.timeline.items()]


def _hours(live: Analytics) -> list[Day]:
    return [
        Day(date=hour.day, hour=hour.hour, at=hour.at, **_steps(counts))
        for hour, counts in live.hours.items()
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

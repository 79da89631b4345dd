"""What campaigns and their numbers look like on the way out. Shapes only; reading is elsewhere."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row

from huntaze_pipeline.api.shapes import Moment, Response
from huntaze_pipeline.events.envelope import MICROS
from huntaze_pipeline.measurement.analytics import Analytics, Counts


class Metrics(Response):
    """How far a campaign has come: messages, and for `converted` purchases."""

    sent: int = 0
    opened: int = 0
    clicked: int = 0
    converted: int = 0


class ScheduleView(Response):
    """When a campaign runs."""

    start_date: Moment | None
    end_date: Moment | None
    recurring: str | None


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
    conversions: int
    ab_tests: list[dict[str, Any]]
    created_at: Moment
    updated_at: Moment


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
    """The same with the steps before."""

    sent: int
    opened: int


class Day(Breakdown):
    """One day in the creator's zone."""

    date: date


class AnalyticsView(Response):
    """A campaign's numbers, three ways; each adds up to the same."""

    overview: Numbers
    by_platform: dict[str, Breakdown]
    timeline: list[Day]
    campaign_id: str
    currency: str
    revenue_in_other_currencies: dict[str, float]
    cost: float
    roi: float | None
    roi_note: str | None
    as_of: Moment
    settled: bool


def campaign(
    row: Row[Any], metrics: Metrics, tests: Sequence[Mapping[str, Any]] = ()
) -> CampaignView:
    """Return a campaign as it goes out."""
    return CampaignView(
        id=row.id,
        name=row.name,
        type=row.type,
        status=row.status,
        platforms=row.platforms,
        template_id=row.template_id,
        schedule=ScheduleView(
            start_date=row.start_at, end_date=row.end_at, recurring=row.recurring
        ),
        targeting=row.targeting,
        settings=row.settings,
        next_send_at=row.next_send_at,
        stopped=row.stopped,
        metrics=metrics,
        conversions=metrics.converted,
        ab_tests=[_test(test) for test in tests],
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def metrics(counts: Counts) -> Metrics:
    """Return the four numbers of a campaign."""
    return Metrics(
        sent=counts.sent, opened=counts.opened, clicked=counts.clicked, converted=counts.converted
    )


def analytics(
    campaign_id: str, found: Analytics, *, currency: str, cost_micros: int, as_of: datetime
) -> AnalyticsView:
    """Return live analytics as they go out; ROI needs a cost, and says so when there is none."""
    revenue = found.overview.revenue_micros
    return AnalyticsView(
        campaign_id=campaign_id,
        currency=currency,
        overview=Numbers(**_numbers(found.overview)),
        by_platform={
            platform: Breakdown(**_steps(counts)) for platform, counts in found.by_platform.items()
        },
        timeline=[Day(date=day, **_steps(counts)) for day, counts in found.timeline.items()],
        revenue_in_other_currencies={c: m / MICROS for c, m in found.elsewhere.items()},
        cost=cost_micros / MICROS,
        roi=(revenue - cost_micros) / cost_micros if cost_micros else None,
        roi_note=None if cost_micros else "no cost is recorded for this campaign",
        as_of=as_of,
        settled=False,
    )


def _numbers(counts: Counts) -> dict[str, Any]:
    return {
        "impressions": counts.delivered,
        "clicks": counts.clicked,
        "conversions": counts.converted,
        "revenue": counts.revenue_micros / MICROS,
    }


def _steps(counts: Counts) -> dict[str, Any]:
    return _numbers(counts) | {"sent": counts.sent, "opened": counts.opened}


def _test(test: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": test["id"],
        "campaignId": test["campaign_id"],
        "metric": test["metric"],
        "state": test["state"],
        "winnerVariantId": test["winner_variant_id"],
        "variants": [
            {"id": v["id"], "weight": v["weight"], "templateId": v["template_id"]}
            for v in test["variants"]
        ],
    }

"""What campaigns look like on the way out. Shapes only; reading is `campaigns.lookup`.

Their numbers are `figures`, what would come of them `previews`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from huntaze_pipeline.api import figures
from huntaze_pipeline.api.shapes import Moment, Response
from huntaze_pipeline.measurement.analytics import Counts


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
    numbers: figures.Told | None
    """The same numbers and more, live; settled for a campaign from before the inbox."""
    settled: figures.Told | None
    """What the last build of the lake said, once there was one."""
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


def campaign(
    row: Row[Any],
    counts: Counts | None,
    tests: Sequence[Mapping[str, Any]] = (),
    *,
    as_of: datetime,
) -> CampaignView:
    """Return a campaign as it goes out; without live counts its settled ones stand for them."""
    last = figures.settled(row.metrics)
    numbers = last if counts is None else figures.told("live", counts, as_of)
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


def _metrics(counts: Counts | Mapping[str, Any]) -> Metrics:
    names = Metrics.model_fields
    if isinstance(counts, Counts):
        return Metrics(**{name: getattr(counts, name) for name in names})
    return Metrics(**{name: counts.get(name) or 0 for name in names})


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

"""Campaigns over HTTP: make, list, show, preview, start, pause, cancel, numbers. One room each."""

import secrets
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import Connection, Row, func, select

from huntaze_pipeline.api import figures, previews, views
from huntaze_pipeline.api.bodies import StrictRoute
from huntaze_pipeline.api.documents import ERRORS
from huntaze_pipeline.api.drafts import CampaignRequest, StartRequest
from huntaze_pipeline.api.keys import CreatorId
from huntaze_pipeline.api.shapes import IdempotencyKey
from huntaze_pipeline.campaigns import creation, forecast, lifecycle, lookup, readiness
from huntaze_pipeline.errors import Problems
from huntaze_pipeline.measurement import analytics
from huntaze_pipeline.rulebook.policies import Limit
from huntaze_pipeline.store.outflow import Cost
from huntaze_pipeline.store.people import Creator
from huntaze_pipeline.store.planning import CAMPAIGN_STATUSES

router = APIRouter(
    prefix="/api/campaigns", tags=["campaigns"], route_class=StrictRoute, responses=ERRORS
)
ACTOR = "api"


@router.post("", status_code=201, summary="Make a campaign")
def create(
    request: Request,
    response: Response,
    creator: CreatorId,
    body: CampaignRequest,
    key: IdempotencyKey = None,
) -> views.CampaignView:
    """Make a campaign as a draft; `start` sets it going.

    Every fault of the request is told at once, each with its field.
    """
    draft, unread = body.draft()
    with request.app.state.store.tenant(creator) as connection:
        try:
            row = creation.create(
                connection,
                creator,
                draft,
                key=key or secrets.token_hex(16),
                now=request.app.state.clock(),
                actor=ACTOR,
                found=body.faults(unread),
                goals={row[0] for row in request.app.state.goals.goals},
            )
        except Problems as error:
            raise Problems(body.faults(error.problems)) from None
        response.headers["Location"] = f"/api/campaigns/{row.id}"
        return _view(request, connection, row)


@router.get("", summary="List campaigns")
def listing(
    request: Request,
    creator: CreatorId,
    status: Annotated[str | None, Query(pattern="^(" + "|".join(CAMPAIGN_STATUSES) + ")$")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> views.CampaignPage:
    """Return one page of campaigns, newest first."""
    with request.app.state.store.tenant(creator) as connection:
        rows, total = lookup.listing(connection, creator, status=status, limit=limit, offset=offset)
        shown = _views(request, connection, creator, rows)
    return views.CampaignPage(campaigns=shown, total=total, limit=limit, offset=offset)


@router.get("/{campaign_id}", summary="Show a campaign")
def show(request: Request, creator: CreatorId, campaign_id: str) -> views.CampaignView:
    """Return a campaign with its numbers as they are now."""
    with request.app.state.store.tenant(creator) as connection:
        return _view(request, connection, lookup.get(connection, creator, campaign_id))


@router.get("/{campaign_id}/preview", summary="What would come of a campaign")
def preview(
    request: Request,
    creator: CreatorId,
    campaign_id: str,
    fan: Annotated[
        list[str] | None, Query(max_length=20, description="Show the messages of these fans")
    ] = None,
) -> previews.PreviewView:
    """Return who would get a campaign, who would not and why, when it is out and what it costs.

    The decisions are made for the whole audience, gates and all, and thrown away. Segments are as
    of their last refresh. `etaSeconds` counts from `at`.
    """
    state = request.app.state
    with state.store.tenant(creator) as connection:
        row = lookup.get(connection, creator, campaign_id)
        with forecast.facts(state.settings, connection, row) as lake:
            foreseen = forecast.of(
                connection, row, state.policies, state.clock(),
                lambda *names: _limit(state.policies.limit(*names)),
                lake=lake, fans=fan or (),
            )  # fmt: skip
    return previews.preview(row.id, foreseen)


@router.post("/{campaign_id}/start", summary="Start or resume a campaign")
def start(
    request: Request,
    creator: CreatorId,
    campaign_id: str,
    body: StartRequest | None = None,
    key: IdempotencyKey = None,
) -> views.CampaignView:
    """Set a campaign going: `scheduled` when its date is ahead, else `active`.

    A campaign that its audience's gate has stopped (`stopped` says why) is tried again; with
    `overrideQuality`, your reason, its next occurrence goes whatever the gate says.

    A draft whose template says a word that fans of its audience lack is refused, each word with
    those fans; with `allowIncomplete` it goes to the others.
    """
    asked, state = body or StartRequest(), request.app.state
    now = state.clock()
    with state.store.tenant(creator) as connection:
        if not asked.allow_incomplete:
            readiness.require(connection, creator, campaign_id, state.policies, now)
        row = lifecycle.start(
            connection, creator, campaign_id, now=now, actor=ACTOR, key=key,
            override_quality=asked.override_quality,
        )  # fmt: skip
        return _view(request, connection, row)


@router.post("/{campaign_id}/pause", summary="Pause a campaign")
def pause(
    request: Request, creator: CreatorId, campaign_id: str, key: IdempotencyKey = None
) -> views.CampaignView:
    """Hold a campaign: nothing of it is decided or sent until it is started again."""
    return _act(request, creator, campaign_id, "pause", key)


@router.post("/{campaign_id}/cancel", summary="Cancel a campaign")
def cancel(
    request: Request, creator: CreatorId, campaign_id: str, key: IdempotencyKey = None
) -> views.CampaignView:
    """End a campaign for good and cancel its waiting messages, in one transaction."""
    return _act(request, creator, campaign_id, "cancel", key)


@router.get("/{campaign_id}/analytics", summary="Live analytics")
def numbers(
    request: Request,
    creator: CreatorId,
    campaign_id: str,
    by: Annotated[Literal["day", "hour"], Query(description="What a line of the timeline is")] = (
        "day"
    ),
) -> figures.AnalyticsView:
    """Return what has come of a campaign so far: in total, by platform, arm, segment and time.

    Live and provisional (`settled` is false): purchases may still come. An impression is a
    delivered message; a click implies an open implies a delivery, once per message; human counts
    leave out what machines did; a purchase is credited once, to the fan's last touch inside its
    window. `lastSettled` is what the last build of the lake said.
    """
    state = request.app.state
    now = state.clock()
    with state.store.tenant(creator) as connection:
        row = lookup.get(connection, creator, campaign_id)
        currency = _currency(connection, creator)
        facts = analytics.facts(connection, creator, [campaign_id], state.goals, state.bots)
        parts = analytics.shares(connection, creator, campaign_id, state.goals, state.bots)
        cost = _cost(connection, creator, campaign_id, currency)
    return figures.analytics(
        row,
        analytics.analyse(facts, currency, parts),
        currency=currency,
        cost_micros=cost,
        as_of=now,
        by=by,
    )


def _limit(limit: Limit) -> tuple[int, float]:
    return limit.count, limit.window_s


def _cost(connection: Connection, creator: str, campaign_id: str, currency: str) -> int:
    """What a campaign is known to have cost in a currency, in micro-units."""
    paid = select(func.coalesce(func.sum(Cost.amount_micros), 0)).where(
        Cost.creator_id == creator, Cost.campaign_id == campaign_id, Cost.currency == currency
    )
    return int(connection.scalar(paid) or 0)


def _act(
    request: Request, creator: str, campaign_id: str, action: str, key: str | None
) -> views.CampaignView:
    act = {"pause": lifecycle.pause, "cancel": lifecycle.cancel}[action]
    with request.app.state.store.tenant(creator) as connection:
        row = act(
            connection, creator, campaign_id, now=request.app.state.clock(), actor=ACTOR, key=key
        )
        return _view(request, connection, row)


def _view(request: Request, connection: Connection, row: Row[Any]) -> views.CampaignView:
    return _views(request, connection, row.creator_id, [row])[0]


def _views(
    request: Request, connection: Connection, creator: str, rows: Any
) -> list[views.CampaignView]:
    ids = [row.id for row in rows]
    if not ids:
        return []
    state = request.app.state
    now = state.clock()
    facts = analytics.facts(connection, creator, ids, state.goals, state.bots)
    totals = analytics.totals(facts, _currency(connection, creator))
    tests = lookup.experiments(connection, creator, ids)
    return [
        views.campaign(row, totals.get(row.id), tests.get(row.id, ()), as_of=now) for row in rows
    ]


def _currency(connection: Connection, creator: str) -> str:
    return connection.scalar(select(Creator.currency).where(Creator.id == creator)) or "USD"

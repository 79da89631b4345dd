"""Making a campaign from a draft: checked, stored once however often it is asked for, audited."""

from collections.abc import Collection, Sequence
from datetime import datetime, time
from typing import Any

from sqlalchemy import Connection, Row, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from huntaze_pipeline import clock, hashing
from huntaze_pipeline.campaigns import lookup
from huntaze_pipeline.campaigns.draft import Draft, Known, Trial, faults
from huntaze_pipeline.errors import ConflictError, Problem, Problems
from huntaze_pipeline.store import audit
from huntaze_pipeline.store.people import Creator
from huntaze_pipeline.store.planning import Campaign, CampaignTemplate, Experiment, Variant
from huntaze_pipeline.store.segments import Segment


def create(
    connection: Connection,
    creator_id: str,
    draft: Draft,
    *,
    key: str,
    now: datetime,
    actor: str,
    found: Sequence[Problem] = (),
    goals: Collection[str] | None = None,
) -> Row[Any]:
    """Store a campaign as a draft, with its variants and experiment; return its row.

    Args:
        connection: a transaction of this creator.
        creator_id: whose campaign.
        draft: what is asked for.
        key: makes the request unique; the same key again gives the same campaign.
        now: the moment.
        actor: who asks, for the audit.
        found: faults that the reader of the request saw already; told together with the others.
        goals: the names that its goal may have; None: any.

    Raises:
        Problems: the draft has faults; all of them are listed.
        ConflictError: the key was used for a different campaign.
    """
    identity = str(hashing.identifier(creator_id, "campaign", key))
    if not found and (row := lookup.find(connection, creator_id, identity)) is not None:
        return _same(row, draft)
    if problems := [*found, *faults(draft, known(connection, creator_id, goals), now)]:
        raise Problems(problems)
    values = _values(creator_id, identity, draft, now)
    if draft.start_day is not None:
        zone = connection.scalar(select(Creator.zone).where(Creator.id == creator_id))
        values["start_at"] = datetime.combine(draft.start_day, time.min, clock.zone(zone))
    wanted = upsert(Campaign).values(values)
    added = connection.scalar(wanted.on_conflict_do_nothing().returning(Campaign.id))
    row = lookup.get(connection, creator_id, identity)
    if added is None:  # the same request, at the same time, was faster
        return _same(row, draft)
    if draft.trial is not None:
        _add_trial(connection, creator_id, identity, draft.trial)
    audit.record(
        connection, creator_id, actor, "campaign.create", identity, now, {"name": draft.name}
    )
    return row


def known(connection: Connection, creator_id: str, goals: Collection[str] | None = None) -> Known:
    """Return what a campaign of this creator may refer to."""
    columns = (CampaignTemplate.id, CampaignTemplate.platforms, CampaignTemplate.variables)
    mine = select(*columns).where(CampaignTemplate.creator_id == creator_id)
    templates = connection.execute(mine).all()
    segments = connection.scalars(select(Segment.id).where(Segment.creator_id == creator_id))
    return Known(
        {row.id: row.platforms for row in templates}, list(segments),
        {row.id: {v["name"]: v.get("default") is None for v in row.variables} for row in templates},
        goals,
    )  # fmt: skip


def _same(row: Row[Any], draft: Draft) -> Row[Any]:
    """Return the row that an earlier request with this key made, if it asked for the same."""
    if row.rule_hash != draft.content_hash:
        raise ConflictError(
            f"this Idempotency-Key made campaign {row.id} from a different request: use a new key"
        )
    return row


def _values(creator_id: str, identity: str, draft: Draft, now: datetime) -> dict[str, Any]:
    targeting: dict[str, Any] = {"segmentIds": list(draft.segments)}
    if draft.excluded:
        targeting["excludeSegmentIds"] = list(draft.excluded)
    if draft.cap is not None:
        targeting["cap"] = draft.cap
    return {
        "creator_id": creator_id,
        "id": identity,
        "name": draft.name,
        "type": draft.type,
        "status": "draft",
        "platforms": list(draft.platforms),
        "template_id": draft.template_id,
        "start_at": draft.start_at,
        "end_at": draft.end_at,
        "recurring": draft.recurring,
        "local_time": draft.local_time,
        "targeting": targeting,
        "settings": dict(draft.settings),
        "source": "api",
        "rule_hash": draft.content_hash,
        "created_at": now,
        "updated_at": now,
    }


def _add_trial(connection: Connection, creator_id: str, campaign_id: str, trial: Trial) -> None:
    owner = {"creator_id": creator_id, "campaign_id": campaign_id}
    connection.execute(
        insert(Experiment).values(
            **owner,
            id=campaign_id,
            metric=trial.metric,
            window_s=trial.window_s,
            planned_n=trial.planned_n,
            alpha=trial.alpha,
            share=trial.share,
            maximum_s=trial.maximum_s,
            margin=trial.margin,
            guardrail_margin=trial.guardrail,
            fallback=trial.fallback,
        )
    )
    arms = [
        owner
        | {
            "id": arm.id,
            "position": position,
            "weight": arm.weight,
            "template_id": arm.template_id,
            "variables": dict(arm.variables),
        }
        for position, arm in enumerate(trial.arms)
    ]
    connection.execute(insert(Variant), arms)

"""Reading campaigns: one, a page of them, and their A/B tests. Nothing here changes anything."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select

from huntaze_pipeline.errors import NotFoundError
from huntaze_pipeline.store.planning import Campaign, Experiment, Variant


def find(
    connection: Connection, creator_id: str, campaign_id: str, *, lock: bool = False
) -> Row[Any] | None:
    """Return a campaign's row or None; with `lock`, held until the transaction ends."""
    wanted = select(Campaign.__table__).where(
        Campaign.creator_id == creator_id, Campaign.id == campaign_id
    )
    return connection.execute(wanted.with_for_update() if lock else wanted).one_or_none()


def get(connection: Connection, creator_id: str, campaign_id: str) -> Row[Any]:
    """Return a campaign's row.

    Raises:
        NotFoundError: there is none, or it is another creator's.
    """
    row = find(connection, creator_id, campaign_id)
    if row is None:
        raise NotFoundError(f"there is no campaign {campaign_id!r}")
    return row


def listing(
    connection: Connection,
    creator_id: str,
    *,
    status: str | None = None,
    limit: int = 50,
    offset: int = 0,
) -> tuple[Sequence[Row[Any]], int]:
    """Return one page of a creator's campaigns, newest first, and how many there are in all."""
    wanted = select(Campaign.__table__).where(Campaign.creator_id == creator_id)
    if status is not None:
        wanted = wanted.where(Campaign.status == status)
    total = connection.scalar(select(func.count()).select_from(wanted.subquery())) or 0
    page = wanted.order_by(Campaign.created_at.desc(), Campaign.id).limit(limit).offset(offset)
    return connection.execute(page).all(), total


def experiments(
    connection: Connection, creator_id: str, campaign_ids: Sequence[str]
) -> Mapping[str, list[dict[str, Any]]]:
    """Return the A/B tests of campaigns with their variants, by campaign."""
    tests = connection.execute(
        select(Experiment.__table__).where(
            Experiment.creator_id == creator_id, Experiment.campaign_id.in_(campaign_ids)
        )
    )
    arms = connection.execute(
        select(Variant.__table__)
        .where(Variant.creator_id == creator_id, Variant.campaign_id.in_(campaign_ids))
        .order_by(Variant.campaign_id, Variant.position)
    ).all()
    found: dict[str, list[dict[str, Any]]] = {}
    for test in tests:
        mine = [arm._asdict() for arm in arms if arm.campaign_id == test.campaign_id]
        found.setdefault(test.campaign_id, []).append(test._asdict() | {"variants": mine})
    return found

"""Who did what by hand. Rows are only added."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, exists, insert, select

from huntaze_pipeline.store.outflow import Audit


def record(
    connection: Connection,
    creator_id: str | None,
    actor: str,
    action: str,
    target: str,
    now: datetime,
    detail: Mapping[str, Any],
) -> None:
    """Add one row, in the transaction of the change that it tells of; no creator: the agency's."""
    connection.execute(
        insert(Audit).values(
            creator_id=creator_id, actor=actor, action=action, target=target, at=now,
            detail=dict(detail),
        )
    )  # fmt: skip


def seen(connection: Connection, creator_id: str, action: str, target: str, key: str) -> bool:
    """Say whether a request with this idempotency key did this to this target before."""
    earlier = exists().where(
        Audit.creator_id == creator_id,
        Audit.target == target,
        Audit.action == action,
        Audit.detail["key"].astext == key,
    )
    return bool(connection.scalar(select(earlier)))

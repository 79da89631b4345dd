"""What became of a creator's webhooks, for people: a list, and trying one again."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline.errors import NotFoundError

STATES = ("pending", "delivered", "failed", "cancelled")
_LIST = text(
    """
    select e.id, e.automation_id, e.fan_id, e.state, e.reason, e.attempts, e.due_at, e.done_at,
           e.body ->> 'url' as url, a.status, a.answer, a.took_ms
    from effects e
    left join webhook_attempts a on a.creator_id = e.creator_id and a.effect_id = e.id
        and a.number = e.attempts
    where e.creator_id = :creator and e.kind = 'webhook'
      and (cast(:state as text) is null or e.state = :state)
    order by e.decided_at desc, e.id limit :limit
    """
)
_AGAIN = text(
    """
    update effects set state = 'pending', reason = null, done_at = null, due_at = :now
    where creator_id = :creator and id = :id and kind = 'webhook' and state = 'failed'
    """
)


def recent(
    connection: Connection, creator_id: str, state: str | None = None, limit: int = 20
) -> list[dict[str, Any]]:
    """Return the newest webhooks, each with its last attempt."""
    values = {"creator": creator_id, "state": state, "limit": limit}
    return [dict(row) for row in connection.execute(_LIST, values).mappings()]


def again(connection: Connection, creator_id: str, name: str, now: datetime) -> None:
    """Let a webhook that was given up be tried once more; if that fails, it is given up again.

    Raises:
        NotFoundError: there is none that was given up under this id.
    """
    values = {"creator": creator_id, "id": name, "now": now}
    if not connection.execute(_AGAIN, values).rowcount:
        raise NotFoundError(f"no webhook {name!r} was given up; see `huntaze webhooks list`")

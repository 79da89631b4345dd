"""Pausing, resuming and cancelling automations and single executions; at once, and for good.

Belongs here: the rows of automations, executions, steps and effects. What was decided and has not
left yet is stopped by the sender's own look (`delivery`). The order of locks is everywhere:
automations, executions, steps.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

_STEPS_OF = """
    from executions e
    where e.creator_id = s.creator_id and e.id = s.execution_id and e.creator_id = :creator
"""
_HURRY = text(
    f"""
    update steps s set due_at = least(s.due_at, :now) {_STEPS_OF}
      and e.automation_id = any(:names) and e.state = 'active' and s.state = 'waiting'
    """
)
_ABANDON = text(
    """
    update executions set state = 'cancelled', reason = :reason, ended_at = :now
    where creator_id = :creator and state in ('active', 'paused')
      and automation_id = any(:names) and (cast(:id as text) is null or id = :id)
    returning id
    """
)
_STOP_STEPS = text(
    """
    update steps set state = 'cancelled', reason = :reason, done_at = :now
    where creator_id = :creator and execution_id = any(:ids) and state in ('waiting', 'held')
    """
)
_STOP_EFFECTS = text(
    """
    update effects set state = 'cancelled', reason = :reason, done_at = :now
    where creator_id = :creator and execution_id = any(:ids) and state = 'pending'
    """
)


def hurry(connection: Connection, creator_id: str, name: str, now: datetime) -> int:
    """Make what waits in an automation due now, because it changed: its fans move or begin anew.

    Returns:
        How many steps wait.
    """
    values = {"creator": creator_id, "names": [name], "now": now}
    return connection.execute(_HURRY, values).rowcount


def abandon(
    connection: Connection,
    creator_id: str,
    names: Sequence[str],
    reason: str,
    now: datetime,
    execution_id: str | None = None,
) -> int:
    """Cancel all passages through some automations, or one of them, with their steps and effects.

    Returns:
        How many there were.
    """
    if not names:
        return 0
    values: dict[str, Any] = {"creator": creator_id, "reason": reason, "now": now}
    ended = connection.execute(_ABANDON, {**values, "names": list(names), "id": execution_id})
    ids = list(ended.scalars())
    for statement in (_STOP_STEPS, _STOP_EFFECTS):
        connection.execute(statement, {**values, "ids": ids})
    return len(ids)

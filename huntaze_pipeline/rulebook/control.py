"""Pausing, resuming and cancelling automations, or single passages through them; at once.

Ticks share a lock while they decide, and every act here takes it alone: when it returns, nothing is
decided any more by what it stopped. Messages that wait are stopped in the same transaction, or (a
paused automation's) by the sender's own look.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline.errors import NotFoundError
from huntaze_pipeline.rulebook.live import DECIDING
from huntaze_pipeline.store import audit

_ALONE = text("select pg_advisory_xact_lock(:key)")
_TAKE = text(
    """
    select id, is_active, paused_at from automations
    where creator_id = :creator and id = :name for update
    """
)
_NAMES = text("select id from automations where creator_id = :creator order by id")
_PAUSED = text(
    """
    update automations set paused_at = :at where creator_id = :creator and id = :name
    """
)
_PASSAGES = text(
    """
    select id from executions
    where creator_id = :creator and automation_id = :name and state = any(cast(:states as text[]))
      and (cast(:fan as text) is null or fan_id = :fan)
      and (cast(:execution as text) is null or id = :execution)
    order by id for update
    """
)
_MARK = text(
    """
    update executions set state = :state, reason = :reason,
        ended_at = case when :state in ('active', 'paused') then null else cast(:now as timestamptz)
                   end
    where creator_id = :creator and id = any(cast(:ids as text[]))
    """
)
_STOP_STEPS = text(
    """
    update steps set state = 'cancelled', reason = :reason, done_at = :now
    where creator_id = :creator and execution_id = any(cast(:ids as text[]))
      and state in ('waiting', 'held')
    """
)
_STOP_EFFECTS = text(
    """
    update effects set state = 'cancelled', reason = :reason, done_at = :now
    where creator_id = :creator and execution_id = any(cast(:ids as text[])) and state = 'pending'
    """
)
_GO_ON = text(
    """
    update steps s set state = 'waiting', reason = null, due_at = greatest(s.due_at, :now)
    from executions e
    where e.creator_id = :creator and e.automation_id = :name and e.state = 'active'
      and (cast(:ids as text[]) is null or e.id = any(cast(:ids as text[])))
      and s.creator_id = e.creator_id and s.execution_id = e.id
      and (s.state = 'held' or s.state = 'waiting' and s.due_at between :since and :now)
    """
)
_MESSAGES = """
    from steps s
    where s.creator_id = :creator and s.execution_id = any(cast(:ids as text[]))
      and m.creator_id = s.creator_id and m.id = s.message_id
"""
_HOLD_MESSAGES = text(
    f"""
    update messages m set state = 'held', reason = 'execution_paused' {_MESSAGES}
      and m.state in ('decided', 'queued')
    """
)
_FREE_MESSAGES = text(
    f"""
    update messages m set state = 'decided', reason = null,
        not_before = greatest(m.not_before, :now) {_MESSAGES}
      and m.state = 'held' and m.reason = 'execution_paused'
    """
)
_WITHDRAW = text(
    f"""
    update messages m set state = :state, reason = :reason, ended_at = :now {_MESSAGES}
      and m.state in ('held', 'decided', 'queued')
    """
)
_HURRY = text(
    """
    update steps s set due_at = least(s.due_at, :now) from executions e
    where e.creator_id = :creator and e.automation_id = :name and e.state = 'active'
      and s.creator_id = e.creator_id and s.execution_id = e.id and s.state = 'waiting'
    """
)


@dataclass(frozen=True)
class Which:
    """An automation of a creator, or only some passages through it."""

    creator_id: str
    automation_id: str
    fan_id: str | None = None
    """Only this fan's."""
    execution_id: str | None = None
    """Only this one."""

    @property
    def whole(self) -> bool:
        """Whether the automation itself is meant."""
        return self.fan_id is None and self.execution_id is None


@dataclass(frozen=True)
class Changed:
    """What an act came to."""

    passages: int
    """Fans on their way whom it concerned."""
    messages: int
    """Waiting messages that it stopped or let go."""


def pause(connection: Connection, which: Which, *, now: datetime, actor: str) -> Changed:
    """Hold an automation, or some passages: nobody enters, nothing is decided or sent.

    Events are still heard: who reaches the goal meanwhile has left, and what was waited for has
    come. Pausing again changes nothing.

    Raises:
        NotFoundError: there is no such automation, or no passage that could be paused.
    """
    row = _taken(connection, which)
    if which.whole:
        if row.paused_at is None:
            connection.execute(_PAUSED, _names(which) | {"at": now})
        found = _passages(connection, which, ("active", "paused"))
        return _told(connection, which, "pause", Changed(len(found), 0), now, actor)
    ids = _some(connection, which, ("active", "paused"))
    values = _names(which) | {"ids": ids, "now": now}
    connection.execute(_MARK, values | {"state": "paused", "reason": None})
    held = connection.execute(_HOLD_MESSAGES, values).rowcount
    return _told(connection, which, "pause", Changed(len(ids), held), now, actor)


def resume(connection: Connection, which: Which, *, now: datetime, actor: str) -> Changed:
    """Let it go on. What came due meanwhile is due now, and later waits count from now.

    Raises:
        NotFoundError: there is no such automation, or no such passage that is on its way.
    """
    row = _taken(connection, which)
    if which.whole:
        connection.execute(_PAUSED, _names(which) | {"at": None})
        since, ids = row.paused_at or now, None
        count, freed = len(_passages(connection, which, ("active",))), 0
    else:
        since, ids = now, _some(connection, which, ("active", "paused"))
        values = _names(which) | {"ids": ids, "now": now}
        connection.execute(_MARK, values | {"state": "active", "reason": None})
        count, freed = len(ids), connection.execute(_FREE_MESSAGES, values).rowcount
    connection.execute(_GO_ON, _names(which) | {"ids": ids, "now": now, "since": since})
    return _told(connection, which, "resume", Changed(count, freed), now, actor)


def cancel(connection: Connection, which: Which, *, now: datetime, actor: str) -> Changed:
    """End passages for good, with their waiting messages and requests.

    Cancelling a whole automation pauses it as well, so that nobody enters until it is resumed. A
    message whose platform call is under way cannot be called back.

    Raises:
        NotFoundError: there is no such automation, or no such passage that is on its way.
    """
    row = _taken(connection, which)
    if which.whole and row.paused_at is None:
        connection.execute(_PAUSED, _names(which) | {"at": now})
    if which.whole:
        ids = _passages(connection, which, ("active", "paused"))
    else:
        ids = _some(connection, which, ("active", "paused"))
    stopped = end(connection, which.creator_id, ids, "cancelled", now)
    return _told(connection, which, "cancel", Changed(len(ids), stopped), now, actor)


def end(
    connection: Connection, creator_id: str, ids: Sequence[str], reason: str, now: datetime
) -> int:
    """Cancel some passages with their steps, effects and messages; return how many messages."""
    if not ids:
        return 0
    values: dict[str, Any] = {
        "creator": creator_id, "ids": list(ids), "reason": reason, "now": now
    }  # fmt: skip
    connection.execute(_MARK, values | {"state": "cancelled"})
    for statement in (_STOP_STEPS, _STOP_EFFECTS):
        connection.execute(statement, values)
    return connection.execute(_WITHDRAW, values | {"state": "cancelled"}).rowcount


def abandon(
    connection: Connection, creator_id: str, names: Sequence[str], reason: str, now: datetime
) -> int:
    """Cancel everybody on the way through some automations; return how many passages."""
    count = 0
    for name in names:
        connection.execute(_ALONE, {"key": DECIDING})
        ids = _passages(connection, Which(creator_id, name), ("active", "paused"))
        end(connection, creator_id, ids, reason, now)
        count += len(ids)
    return count


def withdraw(
    connection: Connection, creator_id: str, ids: Sequence[str], reason: str, now: datetime
) -> int:
    """Skip the waiting messages of passages that have ended; return how many."""
    values = {"creator": creator_id, "ids": list(ids), "reason": reason, "now": now}
    return connection.execute(_WITHDRAW, values | {"state": "skipped"}).rowcount


def hurry(connection: Connection, creator_id: str, name: str, now: datetime) -> int:
    """Make what waits in an automation due now, because it changed: its fans move or begin anew.

    Returns:
        How many steps wait.
    """
    connection.execute(_ALONE, {"key": DECIDING})
    values = {"creator": creator_id, "name": name, "now": now}
    return connection.execute(_HURRY, values).rowcount


def release(connection: Connection, creator_id: str, name: str, now: datetime) -> int:
    """Let steps go on that were held because the automation could not be read; return how many."""
    values = {"creator": creator_id, "name": name, "now": now, "since": now, "ids": None}
    return connection.execute(_GO_ON, values).rowcount


def _names(which: Which) -> dict[str, Any]:
    return {"creator": which.creator_id, "name": which.automation_id}


def _taken(connection: Connection, which: Which) -> Any:
    """Take the automation: ticks that decide are over when this returns."""
    connection.execute(_ALONE, {"key": DECIDING})
    row = connection.execute(_TAKE, _names(which)).one_or_none()
    if row is None:
        names = list(connection.execute(_NAMES, {"creator": which.creator_id}).scalars())
        near = get_close_matches(which.automation_id, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names) or 'none'}"
        raise NotFoundError(f"there is no automation {which.automation_id!r}; {hint}")
    return row


def _passages(connection: Connection, which: Which, states: Sequence[str]) -> list[str]:
    more = {"fan": which.fan_id, "execution": which.execution_id, "states": list(states)}
    return list(connection.execute(_PASSAGES, _names(which) | more).scalars())


def _some(connection: Connection, which: Which, states: Sequence[str]) -> list[str]:
    found = _passages(connection, which, states)
    if not found:
        what = (
            f"execution {which.execution_id!r}" if which.execution_id else f"fan {which.fan_id!r}"
        )
        raise NotFoundError(f"{what} is not on its way through {which.automation_id!r}")
    return found


def _told(
    connection: Connection, which: Which, action: str, changed: Changed, now: datetime, actor: str
) -> Changed:
    """Put it down in the audit."""
    told = {"fan": which.fan_id, "execution": which.execution_id, **asdict(changed)}
    audit.record(
        connection, which.creator_id, actor, f"automation.{action}", which.automation_id, now, told
    )
    return changed

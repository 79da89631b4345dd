"""The clocks that live automations wait for: kept in step with the rules, one per trigger.

Belongs here: the table `clocks`. What a clock puts down is `occasions`' business, silences have
theirs in `silences`.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline.rulebook.trigger import TIMED, Trigger

_LOCK = 0x434C4F43  # "CLOC": one process at a time keeps the clocks in step
_LIVE = text(
    """
    select creator_id, (trigger - 'entry')::text as trigger, min(updated_at) as since
    from automations where is_active and jsonb_exists_any(trigger, cast(:kinds as text[]))
    group by creator_id, trigger - 'entry'
    """
)
_KNOWN = text("select creator_id, id from clocks")
_ADD = text(
    """
    insert into clocks (creator_id, id, trigger, since, done_to, next_at, awaits, span, late, ready)
    values (:creator_id, :id, cast(:trigger as jsonb), :since, :since, :next_at,
            cast(:awaits as jsonb), :span, :late, :ready)
    on conflict do nothing
    """
)
_DROP = text("delete from clocks where creator_id = :creator_id and id = :id")


@dataclass(frozen=True)
class Clock:
    """A trigger of one creator that waits for a time."""

    creator_id: str
    id: str
    trigger: Trigger
    since: datetime
    """Moments after this count: the trigger went live then."""


def sync(connection: Connection) -> list[Clock]:
    """Make the clocks those of the live automations; return the new ones.

    A trigger counts from the moment when its rule went live, however late this notices; a clock
    that no rule waits for is forgotten. Two processes at once take turns.
    """
    wanted = {(clock.creator_id, clock.id): clock for clock in _live(connection)}
    known = {(row.creator_id, row.id) for row in connection.execute(_KNOWN)}
    if wanted.keys() == known:
        return []
    connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    new = [clock for key, clock in wanted.items() if key not in known]
    gone = [{"creator_id": key[0], "id": key[1]} for key in sorted(known - wanted.keys())]
    if gone:
        connection.execute(_DROP, gone)
    if new:
        connection.execute(_ADD, [_row(clock) for clock in new])
    return new


def _live(connection: Connection) -> list[Clock]:
    clocks = []
    for row in connection.execute(_LIVE, {"kinds": list(TIMED)}):
        trigger = read(row.trigger)
        if trigger is not None:
            clocks.append(Clock(row.creator_id, trigger.key, trigger, row.since))
    return clocks


@lru_cache(maxsize=4096)
def read(written: str) -> Trigger | None:
    """Read a live trigger; None when it cannot be read, which the planner tells of."""
    try:
        return Trigger.model_validate(json.loads(written))
    except ValueError:
        return None


def _row(clock: Clock) -> dict[str, Any]:
    silence = clock.trigger.silence
    return {
        "creator_id": clock.creator_id, "id": clock.id, "since": clock.since,
        "trigger": json.dumps(clock.trigger.plain()),
        "next_at": None if silence else clock.since,
        "awaits": json.dumps(silence.event) if silence else None,
        "span": silence.for_ if silence else None, "late": clock.trigger.expires_after,
        "ready": silence is None,
    }  # fmt: skip

"""What automations did: passages and their steps, with states, reasons, times and versions. Reads.

Rows are never overwritten, only ended; so this is the whole story of each passage.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline.errors import NotFoundError

STATES = ("active", "paused", "completed", "cancelled", "exited", "held_out")
"""Where a passage can be."""
_AUTOMATIONS = text(
    """
    select a.id, a.name, a.is_active, a.paused_at, a.rule_hash, a.trigger, a.updated_at,
           coalesce((select jsonb_object_agg(c.state, c.count) from (
               select e.state, count(*) from executions e
               where e.creator_id = a.creator_id and e.automation_id = a.id group by e.state) c),
               '{}') as passages
    from automations a
    where a.creator_id = :creator and (cast(:id as text) is null or a.id = :id)
    order by a.id
    """
)
_JOURNEYS = text(
    """
    select id, automation_id, fan_id, state, reason, entry_key, event_id, rule_hash, snapshot_id,
           entered_at, ended_at, count(*) over () as total
    from executions
    where creator_id = :creator
      and (cast(:automation as text) is null or automation_id = :automation)
      and (cast(:fan as text) is null or fan_id = :fan)
      and (cast(:state as text) is null or state = :state)
      and (cast(:id as text) is null or id = :id)
    order by entered_at desc, id limit :limit offset :offset
    """
)
_TURNS = text(
    """
    select s.execution_id, s.turn, s.position, s.kind, s.state, s.reason, s.began_at, s.due_at,
           s.done_at, coalesce(s.rule_hash, e.rule_hash) as rule_hash, s.snapshot_id,
           s.message_id, m.state as message_state, s.effect_id, f.state as effect_state
    from steps s
    join executions e on e.creator_id = s.creator_id and e.id = s.execution_id
    left join messages m on m.creator_id = s.creator_id and m.id = s.message_id
    left join effects f on f.creator_id = s.creator_id and f.id = s.effect_id
    where s.creator_id = :creator and s.execution_id = any(cast(:ids as text[]))
    order by s.execution_id, s.turn
    """
)
_RESTING = text(
    """
    select s.position, s.kind, count(*) as fans, min(s.due_at) as first_due
    from executions e
    join steps s on s.creator_id = e.creator_id and s.execution_id = e.id
    where e.creator_id = :creator and e.automation_id = :id and s.state in ('waiting', 'held')
      and coalesce(s.rule_hash, e.rule_hash) = :hash
    group by s.position, s.kind order by s.position
    """
)
_FAN = text("select id from fans where creator_id = :creator and id = :id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One step of a passage."""

    turn: int
    position: int
    """Where it is in the program of its version."""
    kind: str
    state: str
    reason: str | None
    began_at: datetime | None
    due_at: datetime
    done_at: datetime | None
    rule_hash: str
    snapshot_id: int | None
    message_id: str | None
    message_state: str | None
    """What has become of its message."""
    effect_id: str | None
    effect_state: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """One fan's passage through an automation."""

    id: str
    automation_id: str
    fan_id: str
    state: str
    reason: str | None
    entry_key: str
    event_id: str | None
    rule_hash: str
    snapshot_id: int | None
    entered_at: datetime
    ended_at: datetime | None
    steps: tuple[Turn, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An automation, and how many passages through it there are by state."""

    id: str
    name: str
    is_active: bool
    paused_at: datetime | None
    rule_hash: str
    trigger: Mapping[str, Any]
    updated_at: datetime
    passages: Mapping[str, int]

    @property
    def status(self) -> str:
        """One of active, paused and stopped."""
        if not self.is_active:
            return "stopped"
        return "paused" if self.paused_at else "active"


def automations(
    connection: Connection, creator_id: str, automation_id: str | None = None
) -> list[Standing]:
    """Return a creator's automations (or one), by id, with the counts of their passages."""
    rows = connection.execute(_AUTOMATIONS, {"creator": creator_id, "id": automation_id})
    return [Standing(**row) for row in rows.mappings()]


def automation(connection: Connection, creator_id: str, automation_id: str) -> Standing:
    """Return one automation.

    Raises:
        NotFoundError: there is none; the nearest name is told.
    """
    found = automations(connection, creator_id, automation_id)
    if found:
        return found[0]
    from difflib import get_close_matches

    names = [one.id for one in automations(connection, creator_id)]
    near = get_close_matches(automation_id, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names) or 'none'}"
    raise NotFoundError(f"there is no automation {automation_id!r}; {hint}")


def resting(
    connection: Connection, creator_id: str, standing: Standing
) -> list[tuple[int, str, int, datetime]]:
    """Return (position, kind, fans, when the first is due) of where fans rest in what is live."""
    names = {"creator": creator_id, "id": standing.id, "hash": standing.rule_hash}
    return [tuple(row) for row in connection.execute(_RESTING, names)]


def journeys(
    connection: Connection,
    creator_id: str,
    *,
    automation_id: str | None = None,
    fan_id: str | None = None,
    state: str | None = None,
    execution_id: str | None = None,
    limit: int = 50,
    offset: int = 0,
) -> tuple[list[Journey], int]:
    """Return passages with their steps, newest first, and how many there are in all."""
    names = {
        "creator": creator_id, "automation": automation_id, "fan": fan_id, "state": state,
        "id": execution_id, "limit": limit, "offset": offset,
    }  # fmt: skip
    rows = [dict(row) for row in connection.execute(_JOURNEYS, names).mappings()]
    total = rows[0]["total"] if rows else 0
    steps = _turns(connection, creator_id, [row["id"] for row in rows])
    listed = [
        Journey(**{k: v for k, v in row.items() if k != "total"}, steps=tuple(steps[row["id"]]))
        for row in rows
    ]
    return listed, total


def _turns(connection: Connection, creator_id: str, ids: Sequence[str]) -> dict[str, list[Turn]]:
    found: dict[str, list[Turn]] = {name: [] for name in ids}
    rows = connection.execute(_TURNS, {"creator": creator_id, "ids": list(ids)})
    for row in rows.mappings():
        values = dict(row)
        found[values.pop("execution_id")].append(Turn(**values))
    return found


def is_fan(connection: Connection, creator_id: str, fan_id: str) -> bool:
    """Say whether a creator has such a fan."""
    return connection.execute(_FAN, {"creator": creator_id, "id": fan_id}).first() is not None

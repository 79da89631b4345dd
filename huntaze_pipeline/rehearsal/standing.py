"""What is live for a creator: every rule as its row, who is on the way, and a hash of it all.

Belongs here: reading. Comparing two standings is `differences`', the plan `forecast`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline import hashing

_ROWS = {
    "segments": "name, criteria, is_dynamic",
    "templates": "name, category, content, platforms, default_settings, variables",
    "automations": "name, trigger, conditions, actions, steps, settings, is_active",
    "campaigns": "name, type, platforms, template_id, start_at, end_at, recurring, targeting,"
    " settings",
}
"""Table to the columns that rule files fill."""
_ARMS = """
    , (select jsonb_object_agg(v.id, jsonb_build_object('position', v.position, 'weight', v.weight,
           'template_id', v.template_id, 'variables', v.variables))
       from variants v where v.creator_id = r.creator_id and v.campaign_id = r.id) as variants
    , (select to_jsonb(x) - 'creator_id' - 'campaign_id' - 'id' - 'state' - 'started_at'
           - 'decided_at' - 'winner_variant_id' - 'fallback_variant_id'
       from experiments x where x.creator_id = r.creator_id and x.campaign_id = r.id limit 1)
      as experiment
    , r.status = 'draft' as is_draft
"""
_WAY = text(
    """
    select e.automation_id, e.id as execution_id, e.fan_id, e.state,
           coalesce(s.rule_hash, e.rule_hash) as rule_hash, s.position, s.due_at
    from executions e
    left join steps s on s.creator_id = e.creator_id and s.execution_id = e.id
        and s.state in ('waiting', 'held')
    where e.creator_id = :creator and e.state in ('active', 'paused')
    order by e.automation_id, e.id, s.turn
    """
)
_SEGMENT = text(
    """
    select segment_id, fan_id from members
    where creator_id = :creator and left_at is null and segment_id = any(:names)
    """
)
_UNSENT = text(
    """
    select source_id, count(*) as messages from messages
    where creator_id = :creator and source = 'automation' and state in ('decided', 'queued')
    group by source_id
    """
)


@dataclass(frozen=True)
class Rule:
    """One live rule."""

    kind: str
    id: str
    hash: str
    body: Mapping[str, Any]
    """Its columns, as JSON-like data."""

    @property
    def label(self) -> str:
        """Its name in plans: `kind/id`."""
        return f"{self.kind}/{self.id}"

    @property
    def active(self) -> bool:
        """Whether it does anything; only automations can be inactive."""
        return self.body.get("is_active", True)


@dataclass(frozen=True)
class Rest:
    """Where a fan on its way through an automation rests."""

    automation_id: str
    execution_id: str
    fan_id: str
    rule_hash: str
    position: int | None
    due_at: datetime | None


def rules(connection: Connection, creator_id: str) -> dict[str, Rule]:
    """Return every rule that the database holds of a creator, by label."""
    found = {}
    for kind, columns in _ROWS.items():
        more = _ARMS if kind == "campaigns" else ""
        query = f"select r.id, r.rule_hash, {columns} {more} from {kind} r where creator_id = :id"
        for row in connection.execute(text(query), {"id": creator_id}).mappings():
            body = {key: _plain(row[key]) for key in row if key not in ("id", "rule_hash")}
            rule = Rule(kind, row["id"], row["rule_hash"], body)
            found[rule.label] = rule
    return dict(sorted(found.items()))


def fingerprint(live: Mapping[str, Rule]) -> str:
    """Return one hash of what is live; a plan holds as long as it does.

    Who is on the way is no part of it: that changes all the time, and no plan would ever hold.
    """
    parts = {
        label: [rule.hash, rule.active, rule.body.get("is_draft")] for label, rule in live.items()
    }
    return hashing.content(parts)


def on_the_way(connection: Connection, creator_id: str) -> list[Rest]:
    """Return where every fan rests who is on its way through an automation."""
    rows = connection.execute(_WAY, {"creator": creator_id}).mappings()
    return [Rest(**{key: row[key] for key in row if key != "state"}) for row in rows]


def members(connection: Connection, creator_id: str, names: list[str]) -> dict[str, set[str]]:
    """Return who is in some segments now."""
    found: dict[str, set[str]] = {name: set() for name in names}
    for row in connection.execute(_SEGMENT, {"creator": creator_id, "names": names}):
        found[row.segment_id].add(row.fan_id)
    return found


def unsent(connection: Connection, creator_id: str) -> dict[str, int]:
    """Return how many messages of each automation are decided and not yet gone."""
    rows = connection.execute(_UNSENT, {"creator": creator_id})
    return {row.source_id: row.messages for row in rows}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value

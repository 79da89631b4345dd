"""What effects do to a rehearsed world: attributes, tags, lists, events. Webhooks only are told.

The same as `rulebook.effects` does in PostgreSQL.
"""

from collections.abc import Mapping
from typing import Any

from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.rehearsal.cast import Actor


def apply(effect: Mapping[str, Any], actor: Actor | None) -> Event | None:
    """Do what an effect says; return the event that tells of it, if there is one."""
    kind, body = effect["kind"], effect["body"]
    if kind == "emit":
        return _event(effect, body["event"], body["properties"])
    if actor is None:
        return None
    if kind == "set":
        values = {**actor.attributes, **body["attributes"]}
        actor.attributes = {key: value for key, value in values.items() if value is not None}
    elif kind == "tag":
        actor.tags |= set(body["tags"])
    elif kind == "untag":
        actor.tags -= set(body["tags"])
    elif kind in ("join", "leave"):
        return _enrol(effect, actor, body["segment"])
    return None


def _enrol(effect: Mapping[str, Any], actor: Actor, segment: str) -> Event | None:
    joins = effect["kind"] == "join"
    actor.enrolled[segment] = joins
    if (segment in actor.segments) == joins:
        return None
    actor.segments ^= {segment}
    name = "entered_segment" if joins else "left_segment"
    return _event(effect, name, {"segment": segment})


def _event(effect: Mapping[str, Any], name: str, properties: Mapping[str, Any]) -> Event:
    return Event(
        creator_id=effect["creator_id"], event_id=f"effect:{effect['id']}", name=name,
        fan_id=effect["fan_id"], occurred_at=effect["due_at"], source="rule",
        properties={**properties, "automation": effect["automation_id"]},
    )  # fmt: skip

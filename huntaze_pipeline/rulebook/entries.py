"""Entry policies: whether a fan may enter an automation again, and under which key."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from huntaze_pipeline.rulebook.live import LiveAutomation

Passage = tuple[str, str, str]
"""(creator_id, automation_id, fan_id)"""


class Memory:
    """The entries that exist and those of this batch, in order."""

    def __init__(self, entered: Mapping[Passage, Sequence[tuple[str, datetime]]]) -> None:
        self.entered = {key: list(values) for key, values in entered.items()}

    def enter(self, automation: LiveAutomation, event: Mapping[str, Any]) -> str | None:
        """Return the key under which this event's fan enters now, or None."""
        passage = (automation.creator_id, automation.id, event["fan_id"])
        before = self.entered.setdefault(passage, [])
        key = entry_key(automation, event)
        if key is None or any(known == key for known, _ in before):
            return None
        every = automation.rule.entry.every
        at = event["occurred_at"]
        if every and any(abs(at - earlier) < every for _, earlier in before):
            return None
        before.append((key, at))
        return key


def entry_key(automation: LiveAutomation, event: Mapping[str, Any]) -> str | None:
    """Return what makes this entry unique; None when the event lacks the key that is asked for."""
    entry = automation.rule.entry
    if entry.once:
        return "once"
    if entry.per is None:
        return event["event_id"]
    value = read(event, entry.per)
    return None if value is None else f"{entry.per.removeprefix('event.')}={value}"


def read(event: Mapping[str, Any], field: str) -> Any:
    """Return the value of `event.value` or `event.properties.x.y`, or None."""
    import json

    parts = field.split(".")[1:]
    if parts[0] != "properties":
        return {**event, "id": event["event_id"], "value": event["value_micros"]}.get(parts[0])
    value: Any = json.loads(event["properties"] or "{}")
    for part in parts[1:]:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value

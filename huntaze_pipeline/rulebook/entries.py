"""Entry policies: whether a fan may enter an automation again, and under which key."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from huntaze_pipeline.rulebook.live import LiveAutomation

Passage = tuple[str, str, str]
"""(creator_id, automation_id, fan_id)"""
UNREACHED = ("unknown_fan", "no_address", "no_account")
"""Reasons of skips that use up no entry: we lacked the person or the way to write to it."""


class Entry(NamedTuple):
    """One passage of a fan through an automation, as far as entering again is concerned."""

    key: str
    at: datetime
    event_id: str | None = None
    exited: bool = False
    """Nothing could be sent, for a reason in `UNREACHED`: it does not count for the policy."""


class Memory:
    """The entries that exist and those of this batch, in order."""

    def __init__(self, entered: Mapping[Passage, Sequence[Entry]]) -> None:
        self.entered = {key: list(values) for key, values in entered.items()}

    def enter(self, automation: LiveAutomation, event: Mapping[str, Any]) -> str | None:
        """Return the key under which this event's fan enters now, or None.

        An event enters once, whatever came of it. After an entry that exited, another event gets a
        key of its own, because executions and messages are unique by key.
        """
        before = self.entered.setdefault(_passage(automation, event), [])
        key = entry_key(automation, event)
        if key is None or any(e.event_id == event["event_id"] for e in before):
            return None
        counting = [e for e in before if not e.exited]
        every = automation.rule.entry.every
        at = event["occurred_at"]
        if any(e.key in (key, _again(key, e.event_id)) for e in counting):
            return None
        if every and any(abs(at - e.at) < every for e in counting):
            return None
        if any(e.key == key for e in before):
            key = _again(key, event["event_id"])
        before.append(Entry(key, at, event["event_id"]))
        return key

    def exit(self, automation: LiveAutomation, event: Mapping[str, Any]) -> None:
        """Let the entry that was just made not count: nothing could be sent."""
        before = self.entered[_passage(automation, event)]
        before[-1] = before[-1]._replace(exited=True)


def _passage(automation: LiveAutomation, event: Mapping[str, Any]) -> Passage:
    return automation.creator_id, automation.id, event["fan_id"]


def _again(key: str, event_id: str | None) -> str:
    return f"{key}#{event_id}"


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

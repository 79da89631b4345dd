"""Entry policies: once, always, at most every so long, once per key."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from huntaze_pipeline.rulebook.entries import Memory
from huntaze_pipeline.rulebook.live import LiveAutomation
from huntaze_pipeline.rulebook.schema import Automation

START = datetime(2026, 3, 2, tzinfo=UTC)


def automation(entry):
    data = {"name": "A", "trigger": {"event": "tip"}, "entry": entry, "actions": [{"content": "x"}]}
    return LiveAutomation("maya", "a", Automation.model_validate(data), "hash", {})


def event(number, hours=0, **properties):
    at = START + timedelta(hours=hours)
    found = {"event_id": f"e{number}", "fan_id": "fan-1", "occurred_at": at, "value_micros": 5}
    return found | {"properties": json.dumps(properties)}


def entered(entry, *events, before=()):
    memory, rule = Memory({("maya", "a", "fan-1"): list(before)}), automation(entry)
    return [memory.enter(rule, e) for e in events]


def test_once_is_once_and_always_is_once_per_event():
    assert entered("once", event(1), event(2)) == ["once", None]
    assert entered("always", event(1), event(2), event(1)) == ["e1", "e2", None]
    assert entered("once", event(1), before=[("once", START)]) == [None]


def test_every_is_a_rolling_window_and_its_end_is_open_again():
    events = [event(1, 0), event(2, 23), event(3, 24), event(4, 47), event(5, 48)]
    assert entered({"every": "24h"}, *events) == ["e1", None, "e3", None, "e5"]


def test_every_holds_also_when_events_come_late():
    assert entered({"every": "24h"}, event(2, 30), event(1, 10)) == ["e2", None]


def test_per_enters_once_for_each_value_and_not_without_one():
    entry = {"per": "event.properties.order_id"}
    events = [event(1, order_id="o1"), event(2, order_id="o1"), event(3, order_id="o2"), event(4)]
    keys = entered(entry, *events)
    assert keys == ["properties.order_id=o1", None, "properties.order_id=o2", None]


@pytest.mark.parametrize(
    "entry", ["twice", {"every": 7}, {"per": "fan.id"}, {"once": True, "every": "7d"}]
)
def test_what_is_no_entry_policy_is_refused(entry):
    with pytest.raises(ValueError):
        automation(entry)

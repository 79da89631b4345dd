"""Entry policies: once, always, at most every so long, once per key."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from huntaze_pipeline.rulebook.entries import Entry, Memory
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
    assert entered("once", event(1), before=[Entry("once", START, "e0")]) == [None]


def test_an_entry_that_exited_does_not_count_and_the_next_gets_a_key_of_its_own():
    lost = Entry("once", START, "e0", exited=True)
    assert entered("once", event(1), event(2), before=[lost]) == ["once#e1", None]
    found = Entry("once#e1", START, "e1")
    assert entered("once", event(3), before=[lost, found]) == [None]
    assert entered({"every": "24h"}, event(1), before=[lost._replace(key="e0")]) == ["e1"]


@pytest.mark.parametrize("entry", ["once", "always", {"every": "1h"}])
def test_the_same_event_never_enters_again_not_even_after_an_exit(entry):
    lost = Entry("once" if entry == "once" else "e1", START, "e1", exited=True)
    assert entered(entry, event(1, hours=5), before=[lost]) == [None]


def test_an_exit_in_a_batch_lets_the_next_event_of_the_batch_enter():
    memory, rule = Memory({}), automation("once")
    assert memory.enter(rule, event(1)) == "once"
    memory.exit(rule, event(1))
    assert [memory.enter(rule, event(n)) for n in (1, 2, 3)] == [None, "once#e2", None]


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

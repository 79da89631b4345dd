"""Triggers: which event each kind comes down to, and what a faulty one is told."""

import pytest

from huntaze_pipeline.rulebook.trigger import Trigger


def read(**data):
    return Trigger.model_validate(data)


@pytest.mark.parametrize(
    ("data", "event", "properties"),
    [
        ({"event": "tip", "properties": {"kind": "x"}}, "tip", {"kind": "x"}),
        ({"entered": "vip"}, "entered_segment", {"segment": "vip"}),
        ({"left": "vip"}, "left_segment", {"segment": "vip"}),
    ],
)
def test_each_kind_comes_down_to_an_event(data, event, properties):
    trigger = read(**data)
    assert (trigger.event, trigger.properties) == (event, properties)
    assert Trigger.model_validate(trigger.plain()) == trigger


def test_times_are_told_apart_by_what_the_trigger_says():
    friday, monday = read(schedule="0 18 * * 5"), read(schedule="0 18 * * 1")
    assert friday.event == "scheduled"
    assert friday.properties == {"trigger": friday.key}
    assert friday.key == read(schedule="0 18 * * 5").key != monday.key
    assert read(anniversary="birthday", at="18:30").cron == "30 18 * * *"
    assert read(silence={"event": "opened", "for": "30d"}).event == "silent"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({}, "a trigger has one of"),
        ({"event": "tip", "entered": "vip"}, "here is event and entered"),
        ({"schedule": "every friday"}, "no cron line"),
        ({"schedule": "0 0 30 2 *"}, "never comes"),
        ({"schedule": "0 18 * * 5", "platform": "email"}, "`platform` goes with event"),
        ({"event": "tip", "zone": "fan"}, "`zone` goes with schedule"),
        ({"anniversary": "wedding"}, "no date of a fan"),
        ({"silence": {"event": "opened", "for": "30s"}}, "at least 1m"),
        ({"silence": {"event": "openned", "for": "30d"}}, "did you mean 'opened'"),
    ],
)
def test_a_faulty_trigger_says_what_would_be_right(data, told):
    with pytest.raises(ValueError, match=told):
        read(**data)

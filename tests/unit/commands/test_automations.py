"""What a list of automations says of each."""

from types import SimpleNamespace

import pytest

from huntaze_pipeline.commands import automations

ENTRY = {"entry": {"once": True}}
"""PostgreSQL sorts the keys of JSON by length, so this one comes first."""


@pytest.mark.parametrize(
    ("trigger", "told"),
    [
        ({"event": "purchase", **ENTRY}, "purchase"),
        ({**ENTRY, "entered": "vip"}, "entered vip"),
        ({"left": "vip", **ENTRY}, "left vip"),
        ({"at": "09:00:00", **ENTRY, "anniversary": "birthday"}, "anniversary"),
        ({**ENTRY, "silence": {"event": ["opened"], "for": "30d"}}, "silence"),
    ],
)
def test_the_trigger_is_named_by_its_kind_whatever_stands_first(trigger, told):
    assert automations._trigger(SimpleNamespace(trigger=trigger)) == told

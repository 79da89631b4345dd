"""The JSON of older systems as files: the same rule as in YAML, and faults where they stand."""

import json
import shutil
from pathlib import Path

import pytest

from huntaze_pipeline.api.drafts import CampaignRequest
from huntaze_pipeline.rulebook import loader

RULES = Path(__file__).parents[3] / "rules"
POSTED = {
    "name": "Drop", "type": "broadcast", "platforms": ["onlyfans", "email"],
    "templateId": "flash_sale",
    "schedule": {
        "startDate": "2027-03-05", "endDate": None, "recurring": "weekly", "localTime": "18:00",
    },
    "targeting": {"segmentIds": ["vip"], "excludeSegmentIds": ["lapsed"], "cap": 50},
    "settings": {"topic": "marketing", "priority": "high", "expiresAfter": "12h", "holdout": 0.1,
                 "variables": {"percent": 10}},
    "abTests": [{"variants": [{"id": "a"}, {"id": "b", "templateId": "flash_sale"}],
                 "plannedRecipients": 900, "fallbackVariantId": "b", "maximum": "5d"}],
}  # fmt: skip
SAME = """\
name: Drop
type: broadcast
platforms: [onlyfans, email]
template: flash_sale
schedule: {start: 2027-03-05, recurring: weekly, local: "18:00"}
targeting: {segments: [vip], exclude: [lapsed], cap: 50}
topic: marketing
priority: high
expires_after: 12h
holdout: 0.1
variables: {percent: 10}
variants: [{id: a}, {id: b, template: flash_sale}]
experiment: {window: 24h, planned: 900, fallback: b, maximum: 5d}
"""


@pytest.fixture
def rules(tmp_path):
    folder = tmp_path / "rules"
    shutil.copytree(RULES, folder)
    return folder


def faults(rules, where, text):
    (rules / where).write_text(text, "utf-8")
    return [str(p).removeprefix("rules/") for p in loader.drafted(rules).problems]


def test_what_is_posted_as_a_campaign_is_the_same_campaign_as_a_file(rules):
    assert faults(rules, "campaigns/posted.json", json.dumps(POSTED)) == []
    assert faults(rules, "campaigns/written.yaml", SAME) == []
    book = loader.load(rules)
    assert book.campaigns["posted"] == book.campaigns["written"]
    _, problems = CampaignRequest.model_validate(POSTED).draft()
    assert problems == []


AUTOMATION = {
    "name": "A", "trigger": {"event": "tip"},
    "actions": [{"type": "send_message", "delay": 0, "content": "hi"}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [(1209600, 1209600), (123456.7, 123456.7), (10_000_001, 10_000_001), (1e7, 1e7), (0.5, 0.5)],
)
def test_a_delay_in_seconds_keeps_every_digit(rules, delay, seconds):
    action = {"type": "send_message", "delay": delay, "content": "hi"}
    posted = json.dumps(AUTOMATION | {"actions": [action]})
    assert faults(rules, "automations/a.json", posted) == []
    assert loader.load(rules).automations["a"].actions[0].delay.total_seconds() == seconds


@pytest.mark.parametrize("kind", ["automations", "campaigns", "segments"])
def test_json_of_older_systems_is_read_whatever_its_file_is_called(rules, kind):
    told = {
        "automations": AUTOMATION | {"isActive": True}, "campaigns": POSTED,
        "segments": {"name": "S", "isDynamic": False, "members": ["f1"]},
    }  # fmt: skip
    assert faults(rules, f"{kind}/as_json.json", json.dumps(told[kind])) == []
    assert faults(rules, f"{kind}/as_yaml.yaml", json.dumps(told[kind], indent=1)) == []
    found = getattr(loader.load(rules), kind)
    assert found["as_json"] == found["as_yaml"]


def test_whether_it_is_active_is_true_or_false(rules):
    (found,) = faults(rules, "automations/a.yaml", json.dumps(AUTOMATION | {"isActive": "yes"}))
    assert "isActive: write true or false" in found
    assert "not 'yes'" in found


def test_a_list_of_fans_is_a_static_segment(rules):
    text = json.dumps({"name": "S", "isDynamic": False, "members": ["f1"], "criteria": []})
    assert faults(rules, "segments/s.json", text) == []
    assert loader.load(rules).segments["s"].fans == ("f1",)


def test_faults_of_a_campaign_stand_where_its_json_says_it(rules):
    text = """{
  "name": "C", "platforms": ["onlyfans"], "templateId": "flash_sal",
  "schedule": {"startDate": "2027-03-05T18:00:00Z", "endDate": null},
  "targeting": {"segmentIds": ["vipp"], "excludeSegmentIds": ["laps"]},
  "settings": {"topic": "markting"},
  "abTests": [{"variants": [{"id": "a"}, {"id": "b", "templateId": "flash_sael"}]}]
}"""
    found = faults(rules, "campaigns/c.json", text)
    assert [line.split(": ")[0] for line in found] == [
        "campaigns/c.json:2:58", "campaigns/c.json:4:33", "campaigns/c.json:4:64",
        "campaigns/c.json:5:25", "campaigns/c.json:6:69",
    ]  # fmt: skip
    text = text.replace("2027-03-05T18:00:00Z", "tomorrow")
    assert faults(rules, "campaigns/c.json", text)[1].startswith("campaigns/c.json:3:29: ")
    assert len(faults(rules, "campaigns/c.json", text)) == 6


def test_faults_of_an_automation_and_a_segment_stand_where_their_json_says_it(rules):
    text = """{
  "name": "A", "trigger": {"event": "subscribed", "platform": "onlyfans"},
  "actions": [{"type": "send_message", "delay": 0, "templateId": "wlcome"}],
  "isActive": "maybe"
}"""
    assert faults(rules, "automations/a.json", text)[1].startswith("automations/a.json:4:15: ")
    found = faults(rules, "automations/a.json", text.replace('"maybe"', "true"))
    assert found[0].startswith("automations/a.json:3:67: unknown template 'wlcome'")
    (rules / "automations" / "a.json").unlink()
    text = """{"name": "S", "isDynamic": true,
  "criteria": {"all": [{"field": "totl_spent", "operator": "gte", "value": 3}]}}"""
    assert faults(rules, "segments/s.json", text)[0].startswith("segments/s.json:2:")

"""Faults of files in the words of whoever wrote them, with the keys that they wrote."""

import json
import shutil
from pathlib import Path

import pytest

from huntaze_pipeline import wording
from huntaze_pipeline.rulebook import loader

RULES = Path(__file__).parents[2] / "rules"
HEAD = "name: A\ntrigger: {event: tip}\n"
HI = "{send: {content: hi, topic: service}}"
FOREIGN = ("nput should", "instance of", "valid", "<class", "tuple", "pattern")
SPOKEN = [
    ("automations/a.yaml", f"name: A\ntrigger: tip\nsteps: [{HI}]\n",
     ["2:10: trigger: write keys"]),
    ("automations/a.yaml", f"name: A\ntrigger: {{evnt: tip}}\nsteps: [{HI}]\n",
     ["2:11: unknown key 'evnt'; did you mean 'event'?"]),
    ("automations/a.yaml", HEAD + "steps: [{iff: 1 = 1, then: [" + HI + "]}]\n",
     ["3:10: unknown key 'iff'; did you mean 'if'?"]),
    ("automations/a.yaml", HEAD + 'steps: [{wait: {until: "18:00", on: [friady, Mon]}}]\n',
     ["3:38: on: 'friady' is none of monday,", "3:46: on: 'Mon' is none of monday,"]),
    ("automations/a.yaml", HEAD + "steps: [{set: {a: 2027-01-01, b c: 1}}]\n",
     ["3:19: a: write a text, a number or true/false, not 2027-01-01", "3:31: b c: write letters"]),
    ("automations/a.yaml", HEAD + "holdout: 2\nsteps: [{join: vipp}]\n",
     ["3:10: holdout: must be below 1, not 2", "4:16: unknown segment 'vipp'"]),
    ("automations/a.yaml", HEAD + "steps:\n\t- send: x\n",
     ["4:1: is no valid YAML: indent with spaces, not with a tab"]),
    ("segments/a.yaml", "name: A\nwhere: fan.purchases >\n",
     ["2:22: is no condition: a value is missing near '>'"]),
    ("segments/a.yaml", "name: A\nwhere: fan.purchases = 'it''s\n",
     ["2:8: is no condition: a quote is not closed"]),
    ("segments/a.yaml", "name: A\nwhere: fan.tips is more than 3\n",
     ["2:30: is no condition: this is not understood near '3'"]),
    ("segments/a.yaml", "name: A\nwhere: 2027-01-01\n", ["2:8: 2027-01-01 is no condition;"]),
    ("segments/a.yaml", "name: A\nwhere: fan.name = \"3\"\n",
     ["2:20: \"3\" is no field; a text stands in single quotes"]),
    ("segments/a.yaml", "name: A\nwhere: {field: fan.purchase, op: gtt, value: 1}\n",
     ["2:16: unknown field 'fan.purchase'", "2:34: unknown op 'gtt'"]),
    ("segments/a.yaml", "name: A\nwhere: {field: fan.tips, operator: greaterThan, value: 1}\n",
     ["2:36: unknown op 'greaterThan'; did you mean 'greater_than'?"]),
    ("goals.yaml", "goals: {won: {events: [], modle: last}}\n",
     ["1:23: goals.won.events: is empty", "1:34: goals.won.modle: unknown key 'modle'"]),
]  # fmt: skip


@pytest.fixture
def rules(tmp_path):
    shutil.copytree(RULES, tmp_path / "rules")
    for kind in ("automations", "campaigns", "tests"):
        shutil.rmtree(tmp_path / "rules" / kind)
        (tmp_path / "rules" / kind).mkdir()
    return tmp_path / "rules"


def faults(rules, file, content):
    (rules / file).write_text(content, "utf-8")
    if file == "goals.yaml":
        from huntaze_pipeline.errors import ModelError
        from huntaze_pipeline.warehouse import goals

        with pytest.raises(ModelError) as raised:
            goals.known(rules)
        return [str(problem) for problem in raised.value.problems]
    return [str(problem) for problem in loader.drafted(rules).problems]


@pytest.mark.parametrize(("file", "content", "told"), SPOKEN)
def test_a_fault_speaks_of_the_file_and_not_of_python(rules, file, content, told):
    found = [fault.removeprefix(f"rules/{file}:") for fault in faults(rules, file, content)]
    assert [f[: len(t)] for f, t in zip(found, told, strict=True)] == told
    assert not [f for f in found if any(word in f.split("valid YAML")[-1] for word in FOREIGN)]


def test_faults_of_older_json_name_the_keys_that_stand_there(rules):
    posted = {
        "name": "X", "platforms": ["email"], "templateId": "flash_sale",
        "schedule": {"startDate": "tomorrow", "endDate": 5},
        "targeting": {"excludeSegmentIds": "vip"}, "settings": {"variables": {"percent": 1}},
    }  # fmt: skip
    found = faults(rules, "campaigns/c.json", json.dumps(posted))
    assert [fault.split(": ")[1] for fault in found] == [
        "startDate",
        "endDate",
        "excludeSegmentIds",
    ]
    assert "5 is no instant" in found[1]


def test_a_word_where_older_json_has_true_or_false_is_a_fault(rules):
    segment = {"name": "S", "isDynamic": "false", "members": ["a"], "criteria": []}
    (found,) = faults(rules, "segments/s.json", json.dumps(segment))
    assert "isDynamic: write true or false" in found


def test_kinds_of_fault_without_words_are_told_all_the_same():
    assert wording.said({"type": "url_scheme", "input": 3}) == "write something else, not 3"

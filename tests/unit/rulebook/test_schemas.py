"""The JSON Schemas for editors agree with the check: no alarm where a file is right."""

import json
import re
from functools import cache
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from huntaze_pipeline import source
from huntaze_pipeline.rulebook import schemas

ROOT = Path(__file__).parents[3]
FILES = sorted(path for path in (ROOT / "rules").glob("*/*.yaml"))
EXAMPLES = [
    (found[1], found[2])
    for page in ("rules/README.md", "docs/rules.md")
    for found in re.finditer(
        r"```yaml\n# rules/(\w+)(?:/\w+)?\.yaml\n(.*?)```", (ROOT / page).read_text("utf-8"), re.S
    )
]
HI = "{send: {content: hi}}"
WRONG = [
    f"trigger: {{evnt: tip}}\nsteps: [{HI}]",
    f"trigger: {{event: tip}}\nentry: often\nsteps: [{HI}]",
    "trigger: {event: tip}\nsteps: [{wait: soon}]",
    "trigger: {event: tip}\nsteps: [{wait: 3}]",
    "trigger: {event: tip}\nsteps: [{emit: quiz}]",
    "trigger: {event: tip}\nsteps: [{webhook: http://a.b}]",
    "trigger: {event: tip, platform: emial}\nsteps: [{exit: false}]",
    'trigger: {event: tip}\nsteps: [{wait: {until: "18:00", on: friady}}]',
]


@cache
def schema(kind):
    name = {"tests": "tests", "fields": "fields", "policies": "policies"}.get(kind, kind[:-1])
    return Draft202012Validator(schemas.json_schemas()[name])


def alarms(kind, path):
    data = source.read(path, path.parent).data
    plain = json.loads(json.dumps(data, default=str))
    return [error.message for error in schema(kind).iter_errors(plain)]


@pytest.mark.parametrize("kind", sorted({path.parent.name for path in FILES} - {"schema"}))
def test_an_editor_has_nothing_against_the_rules_that_ship(kind):
    mine = [path for path in FILES if path.parent.name == kind]
    assert {path.name: alarms(kind, path) for path in mine} == {path.name: [] for path in mine}


def test_nor_against_the_examples_of_the_documents(tmp_path):
    for i, (kind, text) in enumerate(EXAMPLES):
        path = tmp_path / f"{kind}_{i}.yaml"
        path.write_text(text, "utf-8")
        assert alarms(kind, path) == [], text
    assert len(EXAMPLES) > 10


@pytest.mark.parametrize(
    "steps",
    ["[{exit: true}]", "[{exit: fan.tips > 3}]", "[{wait: 3d}, {tag: a}, {untag: [a, b]}]",
     '[{wait: {until: "18:00", on: friday}}]', "[{emit: 'custom:quiz'}]",
     "[{webhook: https://example.org/x}]", "[{send: content_poll}]"],
)  # fmt: skip
def test_short_forms_are_right_in_an_editor_as_well(tmp_path, steps):
    path = tmp_path / "a.yaml"
    path.write_text(f"name: A\ntrigger: {{event: tip, platform: email}}\nsteps: {steps}\n", "utf-8")
    assert alarms("automations", path) == []


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_marked(tmp_path, text):
    path = tmp_path / "a.yaml"
    path.write_text(f"name: A\n{text}\n", "utf-8")
    assert alarms("automations", path)

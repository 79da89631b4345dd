from pathlib import Path

import pytest

from huntaze_pipeline.errors import ImportFileError
from huntaze_pipeline.events.mapping import Value, load, parse
from huntaze_pipeline.settings import PACKAGE

GOOD = "kind: events\nevents: [{name: viewed, fan_id: who, occurred_at: at}]\n"


def problems(text: str) -> list[str]:
    with pytest.raises(ImportFileError) as caught:
        parse(text, "m.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_a_bare_text_is_a_column() -> None:
    assert parse(GOOD, "m").events[0].fan_id == Value(column="who")


def test_every_fault_is_told_with_its_line() -> None:
    found = problems(
        "kind: events\n"
        "zone: Mars/Base\n"
        "colour: red\n"
        "events:\n"
        "  - name: bought\n"
        "    fan_id: {column: a, value: b}\n"
        "    occurred_at: at\n"
        "    value: {pick: {a: 1}}\n"
    )
    assert [text.split(" ")[0] for text in found] == ["m.yaml:3:", "m.yaml:6:", "m.yaml:8:"]
    assert "exactly one of column" in found[1]
    assert "need `seed`" in found[2]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (GOOD + "zone: Mars/Base\n", "no IANA zone"),
        (GOOD.replace("viewed", "seen"), "no event name"),
        (GOOD + "lines: {item_id: i, value: v}\n", "needs `group_by`"),
        ("kind: fans\n", "needs the part `fans:`"),
        (GOOD.replace("at}", "at, value: v, currency: {value: EURO}}"), "no ISO 4217 code"),
        ("kind: [", "is not YAML"),
        ("- a\n", "must be a mapping"),
        ("kind: everything\n", "Input should be 'events'"),
    ],
)
def test_a_fault_says_what_would_be_right(text: str, fault: str) -> None:
    assert fault in problems(text)[0]


def test_values_are_set_from_outside_and_a_missing_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(GOOD.replace("who", "${fan}"))
    assert load(path, {"fan": "who"}).events[0].fan_id.column == "who"
    with pytest.raises(ImportFileError, match=r"m\.yaml:2: \$\{fan\} has no value: add --set fan="):
        load(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImportFileError, match=r"none\.yaml: cannot read"):
        load(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("at", set()),
        ("fan.zone", set()),  # a column of that name
        ("{lookup: campaign.start_at}", {"campaign"}),
        ("{sum: [one, {lookup: fan.zone}]}", {"fan"}),
    ],
)
def test_what_is_looked_up_is_found_wherever_it_stands(given: str, found: set[str]) -> None:
    told = parse(GOOD.replace("at}", f"at, properties: {{p: {given}}}}}"), "m.yaml")
    named = parse(GOOD + f"let: {{p: {given}}}\n", "m.yaml")
    assert (told.lookups, named.lookups) == (found, found)


def test_layout_and_description_do_not_change_the_digest() -> None:
    other = "description: x\nevents:\n- {occurred_at: at, name: viewed, fan_id: {column: who}}\n"
    assert parse(GOOD, "a").digest == parse(other + "kind: events\n", "b").digest
    assert parse(GOOD, "a").digest != parse(GOOD + "zone: UTC\n", "a").digest


@pytest.mark.parametrize("path", sorted((PACKAGE / "local" / "journey").glob("*.yaml")), ids=str)
def test_the_mappings_of_the_demo_are_good(path: Path) -> None:
    assert load(path).file is not None

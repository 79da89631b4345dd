"""What can never happen, circles for ever, cold and long messages: found before it runs."""

import shutil
from pathlib import Path

import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Oracle

from huntaze_pipeline.rulebook import deadends, loader
from huntaze_pipeline.rulebook.conditions import parse

RULES = Path(__file__).parents[3] / "rules"


@pytest.fixture
def rules(tmp_path):
    shutil.copytree(RULES, tmp_path / "rules")
    for kind in ("automations", "campaigns", "tests"):
        shutil.rmtree(tmp_path / "rules" / kind)
        (tmp_path / "rules" / kind).mkdir()
    return tmp_path / "rules"


def problems(rules, **files):
    for name, content in files.items():
        kind, _, stem = name.partition("_")
        path = f"{kind}s/{stem}.yaml" if stem else f"{kind}.yaml"
        (rules / path).write_text(content, "utf-8")
    return [str(problem) for problem in loader.drafted(rules).problems]


HI = "{send: {content: hi, topic: service}}"
TIP = "name: A\ntrigger: {event: tip}\n"
STEPS = [
    ("- exit: true\n- " + HI, "5:3", "nobody ever comes to this step"),
    ("- if: 1 = 2\n  then: [" + HI + "]", "4:7", "1 = 2 is never true: nobody ever goes"),
    ("- if: fan.tips > 5\n  then:\n  - if: fan.tips < 3\n    then: [" + HI + "]", "6:9",
     "fan.tips > 5 and fan.tips < 3 are never true together"),
    ("- if: fan.tips > 5\n  then: [{tag: a, conditions: fan.tips < 3}]", "5:31",
     "fan.tips > 5 and fan.tips < 3 are never true together: nobody ever takes"),
    ("- if: 1 = 1\n  then: [" + HI + "]\n  else: [" + HI + "]", "4:7", "of `else`"),
    (
        "- send: {content: hi}\n  conditions: fan.tips > 1 and event.name = 'purchase'",
        "5:15",
        "the trigger is tip and event.name = 'purchase' are never true together",
    ),
    ("- send: {content: hi, platform: instagram}", "4:33", "is a cold message: instagram"),
    ("- send: {content: hi, topic: service, expires_after: 0s}", "4:54", "longer than nothing"),
    ("- send: {content: '{{ event.value | money(3) }}', topic: service}", "4:37", "money takes no"),
    ("- send: {content: hi, platform: email}", "4:19", "email needs a `subject`"),
    ("- send: {content: hi, subject: x, platform: onlyfans}", "4:32", "onlyfans has no subject"),
    ("- send: {content: " + "a" * 1001 + "}", "4:19", "instagram takes 1000; name the `platform`"),
    ("- wait: {event: custom:quizz, timeout: 1d}", "4:17", "did you mean 'custom:quiz'?"),
    ("- emit: {event: custom:quiz, properties: {scor: 1}}", "4:43", "did you mean 'score'?"),
    ("- if: received('content_pol')\n  then: [" + HI + "]", "4:17", "did you mean 'content_poll'?"),
    ("- if: performed('tip', where => platform = 'x' and properties.a > properties.b)\n"
     "  then: [" + HI + "]", "4:52", "write number(…) on both sides"),
]  # fmt: skip


@pytest.mark.parametrize(("steps", "place", "told"), STEPS)
def test_a_step_that_cannot_work_is_told_in_its_place(rules, steps, place, told):
    declared = "events:\n  custom:quiz: {properties: {score: number}}\n"
    found = problems(rules, automation_a=f"{TIP}steps:\n{steps}\n", fields=declared)
    assert len(found) == 1, found
    assert found[0].startswith(f"rules/automations/a.yaml:{place}: "), found
    assert told in found[0]


@pytest.mark.parametrize(
    ("where", "place", "told"),
    [
        ("event.properties.sku = 3", "4:13", "compares a text with a number"),
        ("event.properties.skuu = 'a'", "4:30", "did you mean 'sku'?"),
        ("sum('purchase', properties.sku) > 1", "4:29", "is a text; here it must be a number"),
        ("performed('tip') and count('purchase', where => properties.n > 1 and properties.m = 1) "
         "> 2", "4:93", "not declared in fields.yaml"),
        ("fan.attributes.citty = 'Paris'", "4:28", "did you mean 'city'?"),
        ("event.platform = 'onlyfan'", "4:31", "unknown platform 'onlyfan'; did you mean"),
        ("performed('tip', where => platform in ('email', 'tiktop'))", "4:62", "'tiktok'?"),
        ("fan.nosuch > 3", "4:13", "unknown field 'fan.nosuch'; known: fan.attributes"),
        ("bucket(0) = 0", "4:20", "bucket takes a whole number from 1"),
        ("bucket(-5) < 3", "4:21", "bucket takes a whole number from 1"),
        ("bucket(10) = 10", "4:13", "bucket(10) lies from 0 to below 10 and bucket(10) = 10 are"),
        ("bucket(10) < 0", "4:13", "bucket(10) < 0 are never true together: nobody ever enters"),
        ("fan.tips < 0", "4:13", "fan.tips is never negative and fan.tips < 0 are never true"),
        ("in_segment('vip') and not in_segment('vip')", "4:13",
         "in_segment('vip') and not in_segment('vip') are never true together"),
        ("not fan.tips > 3 and fan.tips = 5", "4:13", "fan.tips <= 3 and fan.tips = 5 are never"),
        ("fan.attributes.age > 3 and fan.purchases > 5 and fan.purchases < 3", "4:13",
         "fan.purchases > 5 and fan.purchases < 3 are never true together: nobody ever enters"),
    ],
)  # fmt: skip
def test_conditions_are_typed_by_what_is_declared(rules, where, place, told):
    declared = (
        "events:\n  purchase: {properties: {sku: text, n: number}}\n"
        "attributes: {city: text, age: number}\n"
    )
    text = (
        f"name: A\ntrigger: {{event: purchase}}\nactions: [{{content: hi}}]\nconditions: {where}\n"
    )
    found = problems(rules, automation_a=text, fields=declared)
    assert len(found) == 1, found
    assert found[0].startswith(f"rules/automations/a.yaml:{place}: "), found
    assert told in found[0]


def test_the_word_that_is_wrong_is_found_though_it_stands_there_before(rules):
    text = "name: A\nwhere: >-\n  fan.name = 'fan.nam' and\n  fan.nam is null\n"
    assert problems(rules, segment_a=text)[0].startswith("rules/segments/a.yaml:4:3: unknown field")


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (
            "steps: [{emit: custom:b}]",
            "trigger: {event: custom:b}\nsteps: [{emit: custom:a}]",
            "automations set each other off for ever: a -> b -> a",
        ),
        (
            "steps: [{emit: {event: custom:b, properties: {k: '{{ fan.id }}'}}}]",
            "trigger: {event: custom:b, properties: {k: x}}\nsteps: [{emit: custom:a}]",
            "a -> b -> a",
        ),
        (
            "steps: [{join: club}]",
            "trigger: {event: entered_segment, properties: {segment: inner}}\n"
            "steps: [{emit: custom:a}]",
            "a -> b -> a",
        ),
        (
            "steps: [{tag: gold}]",
            "trigger: {event: left_segment, properties: {segment: plain}}\n"
            "steps: [{emit: custom:a}]",
            "a -> b -> a",
        ),
        ("steps: [{emit: custom:a}]", None, "sets itself off again"),
        (
            "steps: [{emit: custom:b}]",
            "trigger: {event: custom:c}\nsteps: [{emit: custom:a}]",
            None,
        ),
        (
            "steps: [{emit: {event: custom:b, properties: {k: y}}}]",
            "trigger: {event: custom:b, properties: {k: x}}\nsteps: [{emit: custom:a}]",
            None,
        ),
        (
            "steps: [{emit: custom:b}]",
            "trigger: {event: custom:b}\nsteps: [{emit: custom:a}]\nentry: once",
            None,
        ),
    ],
)
def test_automations_that_feed_each_other_are_found(rules, first, second, told):
    files = {
        "automation_a": f"name: A\ntrigger: {{event: custom:a}}\n{first}\n",
        "segment_club": "name: Club\nfans: [x]\n",
        "segment_inner": "name: Inner\nwhere: in_segment('club') and fan.purchases > 3\n",
        "segment_plain": "name: Plain\nwhere: not has_tag('gold')\n",
    }
    if second is not None:
        files["automation_b"] = f"name: B\n{second}\n"
    found = problems(rules, **files)
    assert len(found) == (0 if told is None else 1), found
    assert told is None or (told in found[0] and found[0].startswith("rules/automations/a.yaml:2:"))


@pytest.mark.parametrize(
    ("text", "cold"),
    [
        ("trigger: {event: replied}\nactions: [{content: hi, platform: instagram, delay: 23h}]", 0),
        ("trigger: {event: replied}\nactions: [{content: hi, platform: instagram, delay: 24h}]", 1),
        ("trigger: {event: replied}\n"
         "steps: [{wait: 2d}, {send: {content: a, platform: tiktok}}]", 1),
        ("trigger: {event: tip}\nactions: [{content: hi, platform: instagram, "
         "conditions: \"performed('replied', within => '24h')\"}]", 0),
        ("trigger: {event: tip}\nsteps: [{wait: {event: replied, timeout: 9d}, then: "
         "[{send: {content: a, platform: tiktok}}]}]", 0),
        ("trigger: {event: tip}\nactions: [{content: hi}]", 0),
    ],
)  # fmt: skip
def test_a_cold_message_is_told_only_where_the_window_is_surely_closed(rules, text, cold):
    assert len(problems(rules, automation_a=f"name: A\n{text}\n")) == cold


def test_a_campaign_on_closed_platforms_needs_fans_who_have_just_written(rules):
    text = "name: C\nplatforms: [instagram, tiktok]\ntemplate: content_teaser\n"
    found = problems(rules, campaign_c=text)
    assert [p.split(": ", 1)[0] for p in found] == ["rules/campaigns/c.yaml:2:12"]
    writers = "name: W\nwhere: performed('replied', within => '24h')\n"
    aimed = text + "targeting: {segments: [writers]}\n"
    assert problems(rules, campaign_c=aimed, segment_writers=writers) == []
    both = text + "targeting: {segments: [writers, vip], exclude: [vip]}\n"
    assert "targeted and excluded" in problems(rules, campaign_c=both)[0]


def test_a_trigger_names_segments_and_properties_that_there_are(rules):
    text = "name: A\nsteps: [{tag: x}]\ntrigger: {event: entered_segment, properties: {%s}}\n"
    assert "did you mean 'vip'?" in problems(rules, automation_a=text % "segment: vipp")[0]
    assert "did you mean 'segment'?" in problems(rules, automation_a=text % "segmnt: vip")[0]


VALUE = st.sampled_from([None, 0.0, 1.0, 2.0, 2.5, 3.0])
PART = st.one_of(
    st.builds(
        lambda f, o, v: f"fan.{f} {o} {v}",
        st.sampled_from(["purchases", "tips"]), st.sampled_from(["=", "<", "<=", ">", ">=", "<>"]),
        st.sampled_from([0, 2, 2.5, 3]),
    ),
    st.builds(lambda v: f"{v} < fan.purchases", st.sampled_from([0, 3])),
    st.sampled_from(
        ["fan.purchases is null", "fan.tips between 2 and 3", "fan.locale in ('en', 'fr')",
         "not fan.purchases > 2", "not (fan.purchases = 1 or fan.tips >= 3)",
         "not not fan.tips < 2",
         "not fan.locale is null",
         "fan.locale = 'en'", "not (fan.locale = 'fr')", "fan.locale = 'fr' or fan.tips = 2",
         "fan.purchases is not null", "1 = 1", "fan.tips > -1"]
    ),
)  # fmt: skip


@settings(max_examples=examples(150), deadline=None)
@given(
    st.lists(PART, min_size=1, max_size=5).map(" and ".join), VALUE, VALUE,
    st.sampled_from([None, "en", "fr"]),
)  # fmt: skip
def test_what_is_called_a_contradiction_holds_for_nobody(text, purchases, tips, locale):
    condition = parse(text)
    if deadends.contradiction([condition]):
        fan = {"purchases": purchases, "tips": tips, "locale": locale}
        assert Oracle(fan).value(condition.node) is not True

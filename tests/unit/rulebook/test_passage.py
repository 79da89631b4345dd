"""One fan's way through any program: it ends, its history has no holes, nothing happens twice."""

from datetime import UTC, datetime, timedelta

import polars as pl
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from huntaze_pipeline.rulebook.live import LiveAutomation
from huntaze_pipeline.rulebook.passage import Answered, Context, Plan, Traveller
from huntaze_pipeline.rulebook.people import Address, People
from huntaze_pipeline.rulebook.policies import load_policies
from huntaze_pipeline.rulebook.schema import Automation
from tests.unit.rulebook.test_loader import RULES

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
POLICIES = load_policies(RULES)
PEOPLE = People(
    pl.DataFrame(),
    {("maya", "fan"): [Address("email", "a", "x@example.com", "x@example.com", None)]},
    {"maya": {"id": "maya", "name": "Maya", "zone": "Europe/Paris", "currency": "EUR"}},
)
FAN = {"id": "fan", "fan_id": "fan", "name": "Ann", "zone": "Pacific/Auckland", "locale": "en"}
LEAVES = st.sampled_from(
    [
        {"send": {"content": "Hi {{ fan.first_name }}", "subject": "Hi"}},
        {"send": {"content": "{{ fan.unheard }}", "subject": "Hi"}},
        {"wait": "3h"},
        {"wait": {"until": "18:00"}},
        {"wait": {"until": "02:30", "on": ["sunday"], "zone": "creator"}},
        {"wait": {"event": "purchase", "timeout": "2d"}},
        {"exit": True},
        {"exit": "fan.tips > 1"},
        {"tag": "a"},
        {"set": {"x": "{{ fan.name }}"}},
        {"emit": "custom:a"},
        {"webhook": "https://example.com/{{ fan.id }}"},
        {"join": "club", "conditions": "fan.tips > 2"},
    ]
)


def _nested(children):
    some = st.lists(children, min_size=1, max_size=3)
    return st.one_of(
        st.builds(lambda a, b: {"if": "fan.tips > 3", "then": a, "else": b}, some, some),
        st.builds(
            lambda a: {"wait": {"event": "tip", "timeout": "1d"}, "else": a}, some
        ),
        st.builds(
            lambda a, b: {"split": [{"weight": 1, "steps": a}, {"weight": 3, "steps": b}]},
            some, some,
        ),
    )  # fmt: skip


STEPS = st.lists(st.recursive(LEAVES, _nested, max_leaves=12), min_size=1, max_size=5)


def traveller(steps, fan="fan"):
    rule = Automation.model_validate({"name": "A", "trigger": {"event": "tip"}, "steps": steps})
    one = LiveAutomation("maya", "a", rule, "0123456789abcdef", {})
    event = {"event_id": "e", "fan_id": fan, "platform": None, "properties": "{}"}
    known = Context(PEOPLE, POLICIES)
    return Traveller(one, event, "e", f"x-{fan}", one.rule_hash, NOON, FAN, known, NOON)


def travel(who, answers):
    """Go all the way, answering the questions of each instant anew; return the rows."""
    result, at, position, turn, moment, arrived = Plan(), 0, 0, 0, NOON, False
    while True:
        asked = {who.automation.inquiry.before(op.position) for op in who.automation.program}
        asked &= {
            who.automation.inquiry.before(op.position)
            for op in who.automation.program
            if op.asks and (op.step.conditions or op.step.if_ or op.step.exit)
        }
        hits = {name for i, name in enumerate(sorted(asked)) if answers[(i + at) % len(answers)]}
        who.walk(result, position, turn, moment, Answered(asked, hits), arrived=arrived)
        if not result.steps or result.steps[-1]["state"] != "waiting":
            return result
        last = result.steps.pop()
        assert last["due_at"] >= moment
        at, arrived = at + 1, True
        position, turn, moment = last["position"], last["turn"], last["due_at"]


@settings(max_examples=examples(50), deadline=None)
@given(STEPS, st.lists(st.booleans(), min_size=1, max_size=7))
def test_every_way_ends_with_a_history_without_holes_and_nothing_twice(steps, answers):
    result = travel(traveller(steps), answers)
    rows = result.steps
    assert [row["turn"] for row in rows] == list(range(len(rows)))
    positions = [row["position"] for row in rows]
    assert positions == sorted(set(positions))
    assert all(row["state"] in ("done", "skipped") for row in rows)
    told = [row["message_id"] for row in rows if row["message_id"]]
    assert told == [d.message_id for d in result.decisions]
    assert len(set(told)) == len(told)
    done = [row["effect_id"] for row in rows if row["effect_id"]]
    assert done == [effect["id"] for effect in result.effects]
    assert len(set(done)) == len(done)
    assert [row["due_at"] for row in rows] == sorted(row["due_at"] for row in rows)


@settings(max_examples=15, deadline=None)
@given(STEPS, st.lists(st.booleans(), min_size=1, max_size=7))
def test_the_same_answers_give_byte_for_byte_the_same(steps, answers):
    first, second = (travel(traveller(steps), answers) for _ in range(2))
    assert repr(first) == repr(second)


def test_a_split_shares_fans_out_by_weight():
    steps = [{"split": [{"id": "a", "weight": 1}, {"id": "b", "weight": 3}]}]
    ways = [travel(traveller(steps, f"fan-{i}"), [True]).steps[0]["reason"] for i in range(2000)]
    assert 0.22 < ways.count("a") / len(ways) < 0.28


def test_a_message_without_a_word_is_a_stored_no_and_the_way_goes_on():
    steps = [{"send": {"content": "{{ fan.unheard }}"}}, {"tag": "a"}]
    result = travel(traveller(steps), [True])
    assert (result.decisions[0].reason or "").startswith("render_error")
    assert [row["state"] for row in result.steps] == ["skipped", "done"]


def test_what_follows_a_change_of_the_fan_asks_a_moment_later():
    steps = [{"tag": "vip"}, {"if": "has_tag('vip')", "then": [{"tag": "b"}]}, {"wait": "1d"}]
    who, result = traveller(steps), Plan()
    name = who.automation.inquiry.before(1)
    who.walk(result, 0, 0, NOON, Answered({name}, set()))
    assert [(row["kind"], row["state"], row["due_at"]) for row in result.steps] == [
        ("tag", "done", NOON), ("if", "waiting", NOON)
    ]  # fmt: skip
    assert timedelta(0) == result.steps[1]["due_at"] - result.steps[1]["began_at"]

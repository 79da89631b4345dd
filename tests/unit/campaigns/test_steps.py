"""Steps against the real store: waits, ways, effects, goals, holdouts, versions, pauses."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text, update

from huntaze_pipeline.campaigns import reactions
from huntaze_pipeline.delivery import outbox
from huntaze_pipeline.errors import NotFoundError
from huntaze_pipeline.events import inbox
from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.rulebook import control, loader, registry
from huntaze_pipeline.rulebook.fields import Type
from huntaze_pipeline.rulebook.language import FUNCTIONS, Function
from huntaze_pipeline.rulebook.schema import Automation, Segment
from huntaze_pipeline.store.automations import Effect, Execution, Step
from huntaze_pipeline.store.inflow import InboxEvent
from huntaze_pipeline.store.outflow import Message
from huntaze_pipeline.store.people import Fan
from huntaze_pipeline.store.segments import Member

RULES = Path(__file__).parents[3] / "rules"
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
HELLO = {"send": {"content": "Hello {{ fan.first_name }}", "topic": "service"}}
BYE = {"send": {"content": "Bye", "topic": "service"}}


@pytest.fixture(scope="module")
def shipped():
    return loader.load(RULES)


class World:
    """One creator with one automation, and a clock."""

    def __init__(self, store, shipped):
        self.store, self.shipped, self.now, self.count = store, shipped, NOON, 0
        lists = {"club": Segment.model_validate({"name": "Club", "fans": []})}
        self.rulebook = replace(
            shipped, automations={}, campaigns={}, segments={**shipped.segments, **lists}
        )

    def apply(self, *steps, **more):
        data = {"name": "A", "trigger": {"event": "tip"}, "steps": list(steps), **more}
        rule = Automation.model_validate(data)
        self.rulebook = replace(self.rulebook, automations={"a": rule})
        with self.store.tenant("maya") as connection:
            return registry.apply(connection, "maya", self.rulebook, self.now)

    def event(self, name="tip", fan="fan-1", at=None, value=5, **properties):
        self.count += 1
        money = {"value_micros": value * 1_000_000, "currency": "USD"}
        one = Event(
            creator_id="maya", event_id=f"e{self.count}", name=name, fan_id=fan, source="api",
            platform="onlyfans", occurred_at=at or self.now, properties=properties,
            **(money if name in ("tip", "purchase") else {}),
        )  # fmt: skip
        return self.react(one)

    def react(self, *events):
        with self.store.worker() as connection:
            inbox.append(connection, events)
            policies = self.rulebook.policies
            result = reactions.react(connection, None, events, policies, self.now)
            outbox.record(connection, result.decisions)
        assert not result.faults
        return result

    def wake(self, after=timedelta(0)):
        """Move the clock, and take what is due until nothing is."""
        self.now += after
        while True:
            with self.store.worker() as connection:
                policies = self.rulebook.policies
                result = reactions.wake(connection, None, policies, self.now)
                outbox.record(connection, result.decisions)
            assert not result.faults
            if not result.steps:
                return

    def rows(self, *columns, order=None):
        with self.store.worker() as connection:
            found = connection.execute(select(*columns).order_by(*(order or columns))).all()
            return [tuple(row) for row in found]

    def history(self):
        return self.rows(Step.position, Step.kind, Step.state, Step.reason, order=[Step.turn])

    def said(self):
        return [row[0] for row in self.rows(Message.content, order=[Message.not_before])]

    def executions(self):
        return self.rows(Execution.state, Execution.reason, order=[Execution.entered_at])


@pytest.fixture
def world(store, creator, shipped):
    return World(store, shipped)


def test_a_wait_counts_from_the_step_before_it(world):
    world.apply(HELLO, {"wait": "1d"}, HELLO, {"wait": "2h"}, BYE)
    world.event()
    assert world.said() == ["Hello Fan-1"]
    world.wake(DAY - timedelta(seconds=1))
    assert len(world.said()) == 1
    world.wake(timedelta(seconds=1))
    assert len(world.said()) == 2
    world.wake(2 * HOUR)
    assert world.said()[-1] == "Bye"
    assert world.executions() == [("completed", None)]
    assert [row[1:3] for row in world.history()] == [
        (kind, "done") for kind in ("send", "wait", "send", "wait", "send")
    ]


def test_a_late_tick_decides_what_it_would_have_decided_in_time(world):
    world.apply({"wait": "1d"}, HELLO, {"wait": "1d"}, BYE)
    world.event()
    world.wake(10 * DAY)
    assert world.rows(Message.not_before) == [(NOON + DAY,), (NOON + 2 * DAY,)]
    assert world.rows(Message.state, Message.reason) == [("skipped", "expired")] * 2


def test_a_wait_until_a_time_of_day_is_on_the_fans_clock(world):
    with world.store.worker() as connection:
        connection.execute(update(Fan).where(Fan.id == "fan-1").values(zone="America/New_York"))
        connection.execute(update(Fan).where(Fan.id == "fan-2").values(zone=None))
    world.now = datetime(2026, 3, 7, 23, 30, tzinfo=UTC)  # the clocks change in New York that night
    world.apply({"wait": {"until": "18:00"}}, HELLO, {"wait": {"until": "09:00", "on": "monday"}})
    for fan in ("fan-1", "fan-2"):
        world.event(fan=fan)
    due = _due(world)
    assert due["fan-1"] == datetime(2026, 3, 8, 22, 0, tzinfo=UTC)  # 18:00 in summer time
    assert due["fan-2"] == datetime(2026, 3, 8, 17, 0, tzinfo=UTC)  # the creator's: Paris
    world.wake(DAY)
    assert _due(world)["fan-1"] == datetime(2026, 3, 9, 13, 0, tzinfo=UTC)


def _due(world):
    query = text(
        "select e.fan_id, s.due_at from steps s join executions e on e.id = s.execution_id"
        " where s.state = 'waiting'"
    )
    with world.store.worker() as connection:
        return dict(connection.execute(query).all())


AWAIT = {
    "wait": {"event": "purchase", "timeout": "3d", "conditions": "event.value >= 10"},
    "then": [{"tag": "buyer"}, HELLO],
    "else": [BYE],
}


def test_the_event_that_is_waited_for_moves_the_fan_on(world):
    world.apply(AWAIT)
    world.event()
    world.wake(DAY)
    world.event("purchase", value=5)
    world.wake()
    assert world.said() == []
    world.event("purchase", fan="fan-2", value=50)
    world.event("purchase", value=50)
    world.wake()
    assert world.said() == ["Hello Fan-1"]
    assert world.history()[0] == (0, "wait", "done", "event e4")
    assert world.rows(Fan.tags, order=[Fan.id])[0] == (["buyer"],)
    assert world.executions() == [("completed", None)]


def test_without_it_the_time_out_does(world):
    world.apply(AWAIT)
    world.event()
    world.wake(3 * DAY)
    assert world.said() == ["Bye"]
    world.event("purchase", value=50)
    world.wake()
    assert world.said() == ["Bye"]


def test_an_event_after_the_time_out_comes_too_late_however_late_the_tick_is(world):
    world.apply(AWAIT)
    world.event()
    world.now += 4 * DAY
    world.event("purchase", value=50)
    world.wake()
    assert world.history()[0] == (0, "wait", "done", "timeout")


def test_entering_and_being_moved_on_may_happen_in_one_batch(world):
    world.apply(AWAIT)
    base = {"creator_id": "maya", "fan_id": "fan-1", "source": "api", "platform": "onlyfans"}
    money = {"value_micros": 20_000_000, "currency": "USD"}
    tip = Event(event_id="t", name="tip", occurred_at=NOON, **base, **money)
    buy = Event(event_id="p", name="purchase", occurred_at=NOON + HOUR, **base, **money)
    world.now += HOUR
    for _ in range(2):  # the same batch again changes nothing
        world.react(tip, buy)
    world.wake()
    assert [row[1:] for row in world.history()] == [
        ("wait", "done", "event p"), ("tag", "done", None), ("send", "done", None)
    ]  # fmt: skip


def test_a_branch_asks_at_its_own_moment(world):
    world.apply({"wait": "1d"}, {"if": "fan.purchases > 0", "then": [HELLO], "else": [BYE]})
    for fan in ("fan-1", "fan-2"):
        world.event(fan=fan)
    world.event("purchase", fan="fan-2")
    world.wake(DAY)
    assert sorted(world.said()) == ["Bye", "Hello Fan-2"]
    assert ("if", "done", "then") in [row[1:] for row in world.history()]


def test_a_split_gives_each_fan_the_same_way_for_ever(world):
    ways = [{"id": f"w{i}", "weight": i, "steps": [{"tag": f"w{i}"}]} for i in range(3)]
    world.apply({"split": ways, "id": "lot"})
    fans = ("fan-1", "fan-2", "fan-3")
    for _ in range(2):
        for fan in fans:
            world.event(fan=fan)
    tags = [row[0] for row in world.rows(Fan.tags, order=[Fan.id])]
    assert all(len(mine) == 1 and mine != ["w0"] for mine in tags)


def test_effects_are_applied_once_and_later_steps_see_them(world):
    world.apply(
        {"set": {"tier": "gold", "last": "{{ event.value }}", "old": None}},
        {"tag": ["a", "b"]},
        {"untag": "b"},
        {"join": "club"},
        {"emit": {"event": "custom:thanked", "properties": {"how": "{{ event.name }}"}}},
        {"if": "has_tag('a') and fan.attributes.tier = 'gold'", "then": [HELLO]},
    )
    with world.store.worker() as connection:
        connection.execute(text('update fans set attributes = \'{"old": 1, "kept": 2}\''))
    world.event()
    world.wake()
    assert world.said() == ["Hello Fan-1"]
    ((tags, attributes),) = world.rows(Fan.tags, Fan.attributes, order=[Fan.id])[:1]
    assert (tags, attributes) == (["a"], {"kept": 2, "tier": "gold", "last": "5.0"})
    assert world.rows(Member.segment_id, Member.fan_id) == [("club", "fan-1")]
    names = dict(world.rows(InboxEvent.name, InboxEvent.properties, order=[InboxEvent.id]))
    assert names["custom:thanked"] == {"how": "tip", "automation": "a", "hops": 1}
    assert names["entered_segment"]["segment"] == "club"
    assert {row[0] for row in world.rows(Effect.state)} == {"applied"}


def test_a_fan_in_a_list_stays_there_when_the_list_is_evaluated(world):
    from huntaze_pipeline.rulebook import live

    world.apply({"join": "club"}, {"wait": "1d"}, {"leave": "club"})
    world.event()

    def club():
        with world.store.worker() as connection:
            return next(s.rule.fans for s in live.segments(connection) if s.id == "club")

    assert club() == ("fan-1",)
    world.wake(DAY)
    assert club() == ()
    assert world.rows(Member.left_at)[0][0] is not None


def test_automations_that_set_each_other_off_in_a_circle_stop(world):
    world.apply({"emit": "custom:a"}, trigger={"event": "custom:a"})
    world.event("custom:a")
    for _ in range(20):
        with world.store.worker() as connection:
            fresh = [e for e in inbox.tail(connection, limit=100) if e.source == "rule"]
        world.react(*fresh)
    assert len(world.executions()) == 9
    assert world.history()[-1][2] == "skipped"
    assert world.history()[-1][3].startswith("circle")


def test_a_rule_that_cannot_be_read_holds_its_fans_until_it_is_mended(world):
    world.apply({"wait": "1d"}, HELLO)
    world.event()
    broken = text("update automations set steps = '[{\"sing\": 1}]'")
    with world.store.worker() as connection:
        connection.execute(broken)
    world.now += DAY
    with world.store.worker() as connection:
        assert reactions.wake(connection, None, world.rulebook.policies, world.now).faults
    assert world.history() == [(0, "wait", "held", "automation_unreadable")]
    world.apply({"wait": "1d"}, HELLO, {"tag": "a"})
    world.wake()
    assert world.said() == ["Hello Fan-1"]


def test_a_webhook_waits_for_its_worker(world):
    world.apply({"webhook": {"url": "https://example.com/x", "body": {"fan": "{{ fan.id }}"}}})
    world.event()
    ((state, body),) = world.rows(Effect.state, Effect.body)
    assert (state, body["body"], body["url"]) == (
        "pending", {"fan": "fan-1"}, "https://example.com/x"
    )  # fmt: skip


def test_a_goal_ends_the_passage_as_soon_as_it_is_reached(world):
    world.apply(HELLO, {"wait": "3d"}, BYE, exit={"event": "purchase"})
    world.event()
    world.wake(DAY)
    world.event("purchase")
    assert world.executions() == [("completed", "goal")]
    world.wake(9 * DAY)
    assert world.said() == ["Hello Fan-1"]
    assert world.history()[-1] == (1, "wait", "cancelled", "goal")


def test_a_goal_that_is_a_condition_is_asked_before_each_step(world):
    world.apply({"wait": "1d"}, HELLO, {"wait": "1d"}, BYE, exit="fan.purchases > 0")
    world.event()
    world.wake(DAY)
    world.event("purchase")
    world.wake(DAY)
    assert world.said() == ["Hello Fan-1"]
    assert world.executions() == [("completed", "goal")]


def test_an_exit_step_leaves(world):
    world.apply({"exit": "fan.tips > 5"}, HELLO, {"exit": True})
    world.event()
    assert [row[3] for row in world.history()] == ["stays", None, "exit"]
    assert world.executions() == [("completed", "exit")]


def test_some_are_held_out_by_a_stable_hash_and_it_counts_as_an_entry(world):
    world.apply(HELLO, holdout=0.999, entry="once")
    for fan in ("fan-1", "fan-2", "fan-3", "fan-1"):
        world.event(fan=fan)
    assert world.executions() == [("held_out", None)] * 3
    assert world.said() == world.history() == []


def changed(world, on_change, *steps):
    world.apply(HELLO, {"wait": "2d"}, BYE, on_change=on_change)
    world.event()
    world.wake(DAY)
    world.apply(*steps, on_change=on_change)
    world.wake()


NEW = ({"tag": "new"}, HELLO, {"wait": "2d"}, {"send": {"content": "New", "topic": "service"}})


def test_pinned_fans_go_on_with_the_version_they_entered_with(world):
    changed(world, "pin", *NEW)
    world.wake(DAY)
    assert world.said() == ["Hello Fan-1", "Bye"]
    assert len({row[0] for row in world.rows(Step.rule_hash)}) == 1


def test_following_fans_go_on_with_the_new_version_from_the_same_step(world):
    changed(world, "follow", *NEW)
    assert _due(world) == {"fan-1": NOON + 2 * DAY}  # what was waited so far counts
    world.wake(DAY)
    assert world.said() == ["Hello Fan-1", "New"]
    assert [row[1:3] for row in world.history()] == [
        ("send", "done"), ("wait", "moved"), ("wait", "done"), ("send", "done")
    ]  # fmt: skip
    assert len({row[0] for row in world.rows(Step.rule_hash)}) == 2


def test_restarting_fans_begin_the_new_version_anew(world):
    changed(world, "restart", *NEW)
    assert world.said() == ["Hello Fan-1", "Hello Fan-1"]
    world.wake(2 * DAY)
    assert world.said()[-1] == "New"
    assert world.executions() == [("cancelled", "restarted"), ("completed", None)]


def test_a_step_that_is_gone_ends_the_passage_of_those_who_follow(world):
    changed(world, "follow", HELLO)
    assert world.executions() == [("cancelled", "step_removed")]


def test_an_automation_that_is_switched_off_ends_at_once(world):
    world.apply(HELLO, {"wait": "2d"}, BYE)
    world.event()
    world.apply(HELLO, {"wait": "2d"}, BYE, active=False)
    assert world.executions() == [("cancelled", "automation_inactive")]
    assert world.history()[-1][2:] == ("cancelled", "automation_inactive")


def which(**more):
    return control.Which("maya", "a", **more)


def act(world, what, **more):
    with world.store.tenant("maya") as connection:
        return what(connection, which(**more), now=world.now, actor="test")


TWO = (HELLO, {"wait": "1d"}, BYE, {"wait": "1d"}, HELLO)


def test_a_paused_automation_takes_nobody_in_and_goes_on_from_where_it_was(world):
    world.apply(*TWO)
    world.event()
    assert act(world, control.pause) == act(world, control.pause) == control.Changed(1, 0)
    world.event(fan="fan-2")
    world.wake(5 * DAY)
    assert world.history()[-1] == (1, "wait", "held", "automation_paused")
    assert world.rows(Execution.fan_id, Execution.state) == [("fan-1", "active")]
    act(world, control.resume)
    world.wake()
    assert world.said() == ["Hello Fan-1", "Bye"]
    world.wake(DAY - HOUR)
    assert len(world.said()) == 2  # the next wait counts from the resumption
    world.wake(HOUR)
    assert len(world.said()) == 3


def test_events_are_heard_during_a_pause(world):
    world.apply(HELLO, AWAIT, exit={"event": "unsubscribed"})
    for fan in ("fan-1", "fan-2"):
        world.event(fan=fan)
    act(world, control.pause)
    world.event("purchase", value=50)
    world.event("unsubscribed", fan="fan-2")
    world.wake(DAY)
    act(world, control.resume)
    world.wake()
    ended = world.rows(Execution.fan_id, Execution.state, Execution.reason)
    assert ended == [("fan-1", "completed", None), ("fan-2", "completed", "goal")]
    assert ("wait", "done", "event e3") in [row[1:] for row in world.history()]


def test_one_fan_can_be_paused_with_its_waiting_message(world):
    world.apply(*TWO)
    for fan in ("fan-1", "fan-2"):
        world.event(fan=fan)
    assert act(world, control.pause, fan_id="fan-1") == control.Changed(1, 1)
    world.wake(DAY)
    states = world.rows(Message.fan_id, Message.state, Message.reason)
    assert states[:1] == [("fan-1", "held", "execution_paused")]
    assert [row[0] for row in states[1:]] == ["fan-2", "fan-2"]
    act(world, control.resume, fan_id="fan-1")
    world.wake()
    assert {row[0] for row in world.rows(Message.state)} == {"decided"}
    assert len(world.said()) == 4


def test_cancelling_ends_the_passages_their_messages_and_their_requests(world):
    world.apply(*TWO[:2], {"webhook": "https://example.com/x"}, *TWO[1:])
    world.event()
    world.wake(DAY)
    assert act(world, control.cancel) == control.Changed(1, 1)
    world.event(fan="fan-2")
    world.wake(9 * DAY)
    assert world.executions() == [("cancelled", "cancelled")]
    assert world.rows(Message.state) == [("cancelled",)]
    assert world.rows(Effect.state) == [("cancelled",)]


def test_one_execution_can_be_cancelled_and_then_is_gone(world):
    world.apply(*TWO)
    world.event()
    ((name,),) = world.rows(Execution.id)
    act(world, control.cancel, execution_id=name)
    with pytest.raises(NotFoundError, match="is not on its way through 'a'"):
        act(world, control.cancel, execution_id=name)
    world.event()
    assert [row[0] for row in world.executions()] == ["cancelled", "active"]


def test_a_message_that_waits_when_the_goal_is_reached_is_not_sent(world):
    world.apply(HELLO, {"wait": "3d"}, BYE, exit={"event": "purchase"})
    world.event()
    world.event("purchase")
    assert world.rows(Message.state, Message.reason) == [("skipped", "goal")]


def test_a_tick_that_dies_half_way_leaves_nothing_and_is_taken_again(world):
    world.apply(HELLO, {"set": {"n": 1}}, {"emit": "custom:a"}, {"wait": "1h"}, BYE)
    world.event()
    world.now += HOUR
    with pytest.raises(RuntimeError, match="killed"):
        _killed(world)
    assert world.said() == ["Hello Fan-1"]
    world.wake()
    assert world.said() == ["Hello Fan-1", "Bye"]
    assert [row[1] for row in world.history()] == ["send", "set", "emit", "wait", "send"]


def _killed(world):
    with world.store.worker() as connection:
        result = reactions.wake(connection, None, world.rulebook.policies, world.now)
        outbox.record(connection, result.decisions)
        raise RuntimeError("killed")


def test_two_machines_at_once_take_each_step_once(world):
    steps = [{"wait": "1h"}, HELLO, {"emit": "custom:a"}, {"tag": "x"}, {"wait": "1h"}, BYE]
    world.apply(*steps)
    for fan in ("fan-1", "fan-2", "fan-3"):
        world.event(fan=fan)
    world.now += 2 * HOUR

    def drain(_):
        world.wake()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(drain, range(8)))
    assert sorted(world.said()) == ["Bye"] * 3 + [f"Hello Fan-{n}" for n in (1, 2, 3)]
    assert [row[0] for row in world.executions()] == ["completed"] * 3
    assert len(world.rows(Effect.id)) == 6
    assert [row[0] for row in world.rows(InboxEvent.name)].count("custom:a") == 3


@pytest.fixture
def unforeseen(monkeypatch):
    """A function that the checks let pass, and that DuckDB does not know."""
    nobody = Function((Type.NUMBER,), Type.NUMBER, "no_such_function({0})")
    monkeypatch.setitem(FUNCTIONS, "doubled", nobody)


def test_a_rule_that_cannot_be_asked_lets_nobody_in_and_stops_no_other(world, unforeseen):
    world.apply(HELLO)
    hello = world.rulebook.automations["a"]
    bad = hello.model_copy(update={"conditions": "doubled(fan.tips) > 1"})
    with world.store.tenant("maya") as connection:
        rules = replace(world.rulebook, automations={"a": hello, "b": bad})
        registry.apply(connection, "maya", rules, world.now)
    one = Event(
        creator_id="maya", event_id="e1", name="tip", fan_id="fan-1", source="api",
        platform="onlyfans", occurred_at=world.now,
    )  # fmt: skip
    with world.store.worker() as connection:
        inbox.append(connection, [one])
        found = reactions.react(connection, None, [one], world.rulebook.policies, world.now)
    assert [decision.source_id for decision in found.decisions] == ["a"]
    (fault,) = found.faults
    assert fault.where == "automation maya/b"
    assert "no_such_function" in fault.what


def test_steps_of_a_rule_that_cannot_be_asked_are_held_until_it_is_mended(world, unforeseen):
    world.apply({"wait": {"event": "purchase", "timeout": "1d"}}, HELLO)
    world.event()
    with world.store.worker() as connection:
        connection.execute(text("update automations set conditions = '\"doubled(fan.tips) > 1\"'"))
    world.now += DAY
    with world.store.worker() as connection:
        assert reactions.wake(connection, None, world.rulebook.policies, world.now).faults
    assert world.history() == [(0, "wait", "held", "automation_unreadable")]
    world.apply({"wait": {"event": "purchase", "timeout": "1d"}}, HELLO, {"tag": "a"})
    world.wake()
    assert world.said() == ["Hello Fan-1"]

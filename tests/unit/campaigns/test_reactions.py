"""Automations against the real store: who enters, what is decided, what happens when it repeats."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text, update

from huntaze_pipeline.campaigns import reactions
from huntaze_pipeline.delivery import outbox
from huntaze_pipeline.events import inbox
from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.rulebook import loader, registry
from huntaze_pipeline.store.automations import Automation, Execution, Step
from huntaze_pipeline.store.outflow import Message
from huntaze_pipeline.store.people import Consent

RULES = Path(__file__).parents[3] / "rules"
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def rulebook():
    return loader.load(RULES)


@pytest.fixture
def policies(rulebook):
    return rulebook.policies


@pytest.fixture
def applied(store, creator, rulebook):
    with store.tenant(creator) as connection:
        registry.apply(connection, creator, rulebook, NOON)
    return store


def event(name, fan="fan-1", event_id="e1", at=NOON, platform="onlyfans", **more):
    base = {"creator_id": "maya", "event_id": event_id, "name": name, "fan_id": fan}
    return Event(**base, occurred_at=at, source="api", platform=platform, **more)


def purchase(event_id, value=25_000_000, **more):
    return event("purchase", event_id=event_id, value_micros=value, currency="USD", **more)


def react(store, policies, *events, now=NOON):
    with store.worker() as connection:
        inbox.append(connection, events)
        result = reactions.react(connection, None, events, policies, now)
        outbox.record(connection, result.decisions)
    return result


def wake(store, policies, now):
    with store.worker() as connection:
        result = reactions.wake(connection, None, policies, now)
        outbox.record(connection, result.decisions)
    return result


def rows(store, *columns, order=None):
    with store.worker() as connection:
        return connection.execute(select(*columns).order_by(*(order or columns))).all()


def test_a_subscriber_gets_the_welcome_at_once_and_the_second_step_a_day_later(applied, policies):
    first = react(applied, policies, event("subscribed"))
    assert [(d.template_id, d.state, d.platform) for d in first.decisions] == [
        ("welcome_new_subscriber", "decided", "onlyfans")
    ]
    assert "Fan-1" in first.decisions[0].content
    assert wake(applied, policies, NOON + timedelta(hours=23)).decisions == []
    later = wake(applied, policies, NOON + timedelta(hours=24))
    assert [(d.template_id, d.step) for d in later.decisions] == [("behind_the_scenes", 1)]
    assert rows(applied, Execution.state) == [("completed",)]


def test_the_same_event_twice_changes_nothing(applied, policies):
    for _ in range(3):
        react(applied, policies, event("subscribed"))
    assert len(rows(applied, Message.id)) == 1
    assert len(rows(applied, Execution.id)) == 1
    assert rows(applied, Step.position, Step.state) == [(0, "done"), (1, "waiting")]


def test_a_fan_enters_once_however_often_the_event_comes(applied, policies):
    react(applied, policies, event("subscribed"))
    react(applied, policies, event("subscribed", event_id="e2"))
    assert len(rows(applied, Execution.id)) == 1


def test_entry_every_day_is_rolling_also_inside_one_batch(applied, policies):
    hours = (0, 3, 23, 25, 47, 50)
    events = [purchase(f"p{h}", at=NOON + timedelta(hours=h), message_id=f"m{h}") for h in hours]
    react(applied, policies, *events, now=NOON + timedelta(hours=50))
    entered = rows(applied, Execution.event_id)
    assert [row.event_id for row in entered] == ["p0", "p25", "p50"]


def test_conditions_see_the_event_and_the_facts_with_it_included(applied, policies):
    small = react(applied, policies, purchase("p1", value=5_000_000))
    assert small.decisions == []
    big = react(applied, policies, purchase("p2"))
    assert "number 2!" in big.decisions[0].content


def test_each_event_of_a_batch_is_judged_by_what_was_known_then(applied, policies):
    three = [purchase(f"p{i}", at=NOON + timedelta(minutes=i), value=1_000_000) for i in range(3)]
    clicks = [
        event("clicked", event_id=f"c{i}", at=NOON + timedelta(minutes=i), message_id=f"m{i}")
        for i in range(3)
    ]
    batch = [three[0], clicks[0], three[1], clicks[1], three[2], clicks[2]]
    react(applied, policies, *batch, now=NOON + timedelta(minutes=3))
    assert rows(applied, Execution.automation_id, Execution.event_id) == [("referral", "c2")]


def test_a_late_tick_judges_a_batch_without_what_came_behind_it(applied, policies):
    with applied.worker() as connection:
        inbox.append(connection, [purchase("p1", fan="fan-2"), purchase("p2", fan="fan-2")])
    with applied.worker() as connection:
        (first,) = inbox.tail(connection, limit=1)
        found = reactions.react(connection, None, [first], policies, NOON)
    texts = [d.content for d in found.decisions if d.source_id == "thank_you"]
    assert "that was number 1!" in texts[0]


def test_a_step_is_skipped_when_its_condition_no_longer_holds(applied, policies):
    react(applied, policies, purchase("p1"))
    react(
        applied, policies, purchase("p2", at=NOON + timedelta(days=2)), now=NOON + timedelta(days=2)
    )
    wake(applied, policies, NOON + timedelta(days=3))
    steps = rows(applied, Step.due_at, Step.position, Step.state, Step.reason)
    assert ("skipped", "conditions") in [(s.state, s.reason) for s in steps if s.position == 1]


def test_a_step_of_a_stopped_automation_is_cancelled(applied, policies):
    react(applied, policies, event("subscribed"))
    with applied.worker() as connection:
        connection.execute(update(Automation).values(is_active=False))
    assert wake(applied, policies, NOON + timedelta(days=2)).decisions == []
    assert rows(applied, Step.position, Step.state)[1] == (1, "cancelled")
    assert rows(applied, Execution.state) == [("cancelled",)]


def test_without_consent_the_decision_is_stored_as_a_skip_with_its_reason(applied, policies):
    with applied.worker() as connection:
        connection.execute(update(Consent).values(granted=False))
    result = react(applied, policies, event("subscribed"))
    assert [(d.state, d.reason) for d in result.decisions] == [("skipped", "consent_withdrawn")]
    assert rows(applied, Step.position, Step.reason)[0] == (0, "consent_withdrawn")


def test_thanks_for_a_tip_need_no_consent_to_marketing(applied, policies):
    with applied.worker() as connection:
        connection.execute(update(Consent).values(granted=False))
    tip = event("tip", value_micros=12_500_000, currency="EUR")
    (decision,) = react(applied, policies, tip).decisions
    assert decision.state == "decided"
    assert "12.50 EUR" in decision.content


def test_a_fan_that_nobody_knows_or_can_reach_is_a_skip_and_not_an_error(applied, policies):
    with applied.worker() as connection:
        connection.execute(text("delete from identities where fan_id = 'fan-2'"))
    events = [event("subscribed", fan="ghost"), event("subscribed", fan="fan-2", event_id="e2")]
    result = react(applied, policies, *events)
    assert [d.reason for d in result.decisions] == ["unknown_fan", "no_address"]


def executions(store):
    return rows(store, Execution.entry_key, Execution.state, Execution.reason)


def only_once(store):
    """Make the welcome a matter of its first step: nothing waits."""
    with store.worker() as connection:
        actions = text("update automations set actions = jsonb_build_array(actions -> 0)")
        connection.execute(actions)


def test_an_entry_without_any_way_to_write_is_left_and_the_next_event_enters(applied, policies):
    only_once(applied)
    with applied.worker() as connection:
        connection.execute(text("delete from identities where fan_id = 'fan-1'"))
    for _ in range(2):  # the same event again is the same execution
        react(applied, policies, event("subscribed"))
    assert executions(applied) == [("once", "exited", "no_address")]
    add_address(applied)
    react(applied, policies, event("subscribed"))
    assert len(executions(applied)) == 1
    (sent,) = react(applied, policies, event("subscribed", event_id="e2")).decisions
    assert (sent.state, sent.occurrence) == ("decided", "once#e2")
    react(applied, policies, event("subscribed", event_id="e3"))
    assert [tuple(row) for row in executions(applied)] == [
        ("once", "exited", "no_address"), ("once#e2", "completed", None)
    ]  # fmt: skip
    assert [row.state for row in rows(applied, Message.state)] == ["decided", "skipped"]


def add_address(store):
    values = "('maya', 'fan-1', 'onlyfans', 'maya-onlyfans', 'x1', 'x1')"
    columns = "creator_id, fan_id, platform, account_id, address, normalised"
    with store.worker() as connection:
        connection.execute(text(f"insert into identities ({columns}) values {values}"))


def test_an_account_that_is_not_there_uses_up_no_entry(applied, policies):
    only_once(applied)
    with applied.worker() as connection:
        connection.execute(text("update accounts set id = 'gone' where id = 'maya-onlyfans'"))
    react(applied, policies, event("subscribed"))
    assert executions(applied) == [("once", "exited", "no_account")]
    with applied.worker() as connection:
        connection.execute(text("update accounts set id = 'maya-onlyfans' where id = 'gone'"))
    react(applied, policies, event("subscribed", event_id="e2"))
    assert executions(applied)[1] == ("once#e2", "completed", None)


def test_an_entry_with_a_step_ahead_counts_until_that_step_is_lost_too(applied, policies):
    react(applied, policies, event("subscribed", fan="ghost"))
    react(applied, policies, event("subscribed", fan="ghost", event_id="e2"))
    assert executions(applied) == [("once", "active", None)]
    wake(applied, policies, NOON + timedelta(days=2))
    assert executions(applied) == [("once", "exited", "unknown_fan")]


def test_a_no_of_the_fan_uses_up_the_entry(applied, policies):
    only_once(applied)
    with applied.worker() as connection:
        connection.execute(update(Consent).values(granted=False))
    react(applied, policies, event("subscribed"))
    assert executions(applied) == [("once", "completed", None)]


def test_two_machines_decide_byte_for_byte_the_same(applied, policies):
    events = [event("subscribed"), purchase("p9"), event("subscribed", fan="fan-3", event_id="e3")]
    with applied.worker() as connection:
        inbox.append(connection, events)
        first = reactions.react(connection, None, events, policies, NOON)
        connection.execute(text("delete from steps"))
        connection.execute(text("delete from executions"))
        second = reactions.react(connection, None, events, policies, NOON)
    assert repr(first.decisions) == repr(second.decisions)


def test_a_later_tick_gives_the_same_message_ids(applied, policies):
    first = react(applied, policies, event("subscribed"))
    with applied.worker() as connection:
        connection.execute(text("delete from executions"))
    again = react(applied, policies, event("subscribed"), now=NOON + timedelta(hours=1))
    assert [d.message_id for d in again.decisions] == [d.message_id for d in first.decisions]
    assert replace(again.decisions[0], decided_at=NOON) == first.decisions[0]

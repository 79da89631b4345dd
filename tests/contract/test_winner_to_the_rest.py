"""A test on a share of the audience, on real PostgreSQL: the rest waits and gets what has won."""

import multiprocessing
import os
import signal
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, insert, select, text, update

from huntaze_pipeline.campaigns import launch, lifecycle, split
from huntaze_pipeline.errors import ConflictError, Problems
from huntaze_pipeline.orchestration import ticks
from huntaze_pipeline.rulebook import loader, registry
from huntaze_pipeline.store.outflow import Message
from huntaze_pipeline.store.people import Consent, Fan, Identity
from huntaze_pipeline.store.planning import Allocation, Campaign, Experiment
from huntaze_pipeline.store.session import Store

RULES = Path(__file__).parents[2] / "rules"
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
LATER = NOON + timedelta(days=2)
FANS = 120


@pytest.fixture(scope="module")
def rulebook():
    return loader.load(RULES)


@pytest.fixture
def live(store: Store, creator: str, rulebook) -> Store:
    """A creator with many fans on e-mail; spring_drop is due and tests on 30 % of them."""
    names = [f"many-{i:03d}" for i in range(FANS)]
    base = {"creator_id": creator}
    with store.worker() as c:
        registry.apply(c, creator, rulebook, NOON)
        c.execute(insert(Fan), [base | {"id": n, "name": n} for n in names])
        address = {"platform": "email", "account_id": "maya-email"}
        c.execute(
            insert(Identity),
            [
                base | address | {"fan_id": n, "address": f"{n}@x.org", "normalised": f"{n}@x.org"}
                for n in names
            ],
        )
        agreed = {"topic": "marketing", "granted": True, "source": "test"}
        c.execute(insert(Consent), [base | agreed | {"fan_id": n} for n in names])
        c.execute(update(Experiment).values(share=0.3))
        c.execute(
            update(Campaign)
            .where(Campaign.id == "spring_drop")
            .values(status="scheduled", next_send_at=NOON, targeting={}, settings={})
        )
    return store


def tick(store: Store, rulebook, now: datetime) -> int:
    return ticks.start(store, None, rulebook.policies, now)


def close(store: Store, winner: str | None, fallback: str | None = None) -> None:
    with store.worker() as c:
        state = "winner" if winner else "no_winner"
        values = {"winner_variant_id": winner, "fallback_variant_id": fallback, "state": state}
        c.execute(update(Experiment).values(decided_at=LATER, **values))


def rows(store: Store, **where: object) -> list:
    with store.worker() as c:
        table = Message.__table__
        wanted = [table.c[name] == value for name, value in where.items()]
        return list(c.execute(select(table).where(*wanted).order_by(table.c.fan_id)))


def states(store: Store) -> Counter:
    return Counter(row.state for row in rows(store))


def test_the_rest_of_the_audience_waits_as_rows_and_the_campaign_stays_open(live, rulebook):
    tick(live, rulebook, NOON)
    held, tested = rows(live, state="held"), rows(live, state="decided")

    assert len(held) + len(tested) == FANS + 3
    assert 20 <= len(tested) <= 55
    assert {row.reason for row in held} == {"awaits_winner"}
    assert {row.variant_id for row in held} == {None}
    assert {row.variant_id for row in tested} == {"early_access", "last_call"}
    with live.worker() as c:
        c.execute(update(Message).where(Message.state == "decided").values(state="sent"))
        assert launch.settle(c, LATER) == 0
        assert c.scalar(select(Experiment.planned_n)) == len(tested)


def test_nobody_moves_before_the_test_is_over(live, rulebook):
    tick(live, rulebook, NOON)
    before = states(live)

    assert tick(live, rulebook, LATER) == 0
    assert states(live) == before


def test_the_rest_gets_the_winner_and_is_in_no_arm(live, rulebook):
    tick(live, rulebook, NOON)
    waiting = {row.fan_id for row in rows(live, state="held")}
    tested = {row.fan_id: row for row in rows(live, state="decided")}
    close(live, "last_call")

    assert tick(live, rulebook, LATER) == len(waiting)
    released = [row for row in rows(live) if row.fan_id in waiting]
    assert {row.state for row in released} == {"decided"}
    assert {row.followed_variant_id for row in released} == {"last_call"}
    assert {row.variant_id for row in released} == {None}
    assert all("Last call" in row.content for row in released)
    assert min(row.expires_at for row in released) > LATER
    assert tested == {row.fan_id: row for row in rows(live) if row.fan_id in tested}
    assert tick(live, rulebook, LATER) == 0


def test_without_a_winner_the_fallback_is_sent_and_named_as_such(live, rulebook):
    tick(live, rulebook, NOON)
    close(live, None, "early_access")
    tick(live, rulebook, LATER)

    released = [row for row in rows(live) if row.followed_variant_id]
    assert {row.followed_variant_id for row in released} == {"early_access"}
    with live.worker() as c:
        assert c.scalar(select(Experiment.winner_variant_id)) is None


def test_without_winner_and_fallback_the_rest_gets_nothing_and_the_books_say_why(live, rulebook):
    tick(live, rulebook, NOON)
    waiting = len(rows(live, state="held"))
    close(live, None)
    tick(live, rulebook, LATER)

    assert len(rows(live, state="skipped", reason="no_winner")) == waiting
    assert states(live)["held"] == 0


def test_the_gates_are_passed_when_the_rest_is_released(live, rulebook):
    tick(live, rulebook, NOON)
    first, second, third = (row.fan_id for row in rows(live, state="held")[:3])
    close(live, "last_call")
    with live.worker() as c:
        c.execute(update(Consent).where(Consent.fan_id == first).values(granted=False))
        c.execute(text("delete from fans where id = :id"), {"id": second})
        c.execute(text("delete from identities where fan_id = :id"), {"id": third})
    tick(live, rulebook, LATER)

    reasons = {row.fan_id: row.reason for row in rows(live, state="skipped")}
    assert reasons == {first: "consent_withdrawn", second: "left_audience", third: "no_address"}


def test_a_paused_campaign_keeps_the_rest_and_a_cancelled_one_ends_it(live, rulebook):
    tick(live, rulebook, NOON)
    waiting = len(rows(live, state="held"))
    close(live, "last_call")
    with live.worker() as c:
        lifecycle.pause(c, "maya", "spring_drop", now=LATER, actor="test")
    assert tick(live, rulebook, LATER) == 0
    assert states(live)["held"] == waiting
    with live.worker() as c:
        lifecycle.start(c, "maya", "spring_drop", now=LATER, actor="test")
    assert tick(live, rulebook, LATER) == waiting
    with live.worker() as c:
        c.execute(
            update(Message).where(Message.followed_variant_id.is_not(None)).values(state="held")
        )
        lifecycle.cancel(c, "maya", "spring_drop", now=LATER, actor="test")
    assert states(live)["held"] == 0


def test_waiting_ends_with_the_campaign(live, rulebook):
    with live.worker() as c:
        c.execute(
            update(Campaign).where(Campaign.id == "spring_drop").values(end_at=NOON + timedelta(1))
        )
    tick(live, rulebook, NOON)
    waiting = len(rows(live, state="held"))
    tick(live, rulebook, LATER)

    assert states(live)["expired"] == waiting
    close(live, "last_call")
    assert tick(live, rulebook, LATER) == 0


def test_a_campaign_that_comes_again_keeps_its_arms_and_follows_the_winner_later(live, rulebook):
    with live.worker() as c:
        c.execute(update(Campaign).where(Campaign.id == "spring_drop").values(recurring="weekly"))
    tick(live, rulebook, NOON)
    arms = {row.fan_id: row.variant_id for row in rows(live, state="decided")}
    waiting = len(rows(live, state="held"))
    with live.worker() as c:
        c.execute(text("update variants set weight = 0 where id = 'early_access'"))
        assert c.scalar(select(Experiment.planned_n)) is None
    week = NOON + timedelta(days=7)
    tick(live, rulebook, week)

    assert states(live)["expired"] == waiting
    again = [row for row in rows(live) if row.occurrence == week.isoformat()]
    assert {row.fan_id: row.variant_id for row in again if row.variant_id} == arms
    close(live, "last_call")
    tick(live, rulebook, week + timedelta(days=7))
    last = [row for row in rows(live) if row.decided_at == week + timedelta(days=7)]
    assert {(row.variant_id, row.followed_variant_id) for row in last} == {(None, "last_call")}
    assert Counter(row.fan_id for row in last).most_common(1)[0][1] == 1  # not what waited as well


@pytest.mark.slow
def test_a_kill_at_any_statement_loses_and_doubles_nobody(live, rulebook, settings):
    tick(live, rulebook, NOON)
    waiting = {row.fan_id for row in rows(live, state="held")}
    close(live, "last_call")
    fork = multiprocessing.get_context("fork")
    for statement in range(1, 60):
        child = fork.Process(target=_die_at, args=(settings, rulebook, statement))
        child.start()
        child.join()
        if child.exitcode == 0:
            break
        assert child.exitcode == -signal.SIGKILL
        assert states(live)["held"] in (len(waiting), 0)  # all of them or none
    else:
        pytest.fail("the tick never came to its end")
    assert statement > 5
    released = [row for row in rows(live) if row.followed_variant_id]
    assert {row.fan_id for row in released} == waiting
    assert len(released) == len(waiting)


def _die_at(settings, rulebook, statement: int) -> None:
    store, seen = Store(settings, pooled=False), 0

    def count(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(store.engine, "before_cursor_execute", count)
    tick(store, rulebook, LATER)
    os._exit(0)


def test_a_new_split_begins_an_epoch_and_moves_nobody(live, rulebook):
    with live.worker() as c:
        c.execute(update(Campaign).where(Campaign.id == "spring_drop").values(recurring="weekly"))
    tick(live, rulebook, NOON)
    given = {"early_access": 1.0, "last_call": 9.0}
    for _ in range(2):  # the same again changes nothing
        with live.worker() as c:
            split.reweigh(c, "maya", "spring_drop", given, now=LATER, actor="test")
    with live.worker() as c:
        wanted = select(Allocation.epoch, Allocation.weight, Allocation.since)
        found = [tuple(r) for r in c.execute(wanted.order_by("epoch", "variant_id"))]
    assert found == [(0, 1.0, NOON), (0, 1.0, NOON), (1, 1.0, LATER), (1, 9.0, LATER)]


def test_a_split_that_helps_nobody_any_more_or_cannot_be_is_refused(live, rulebook):
    def ask(**weights: float) -> None:
        with live.worker() as c:
            split.reweigh(c, "maya", "spring_drop", weights, now=LATER, actor="test")

    with pytest.raises(Problems, match="nobody") as told:
        ask(early_access=0, last_call=0, third=-1)
    assert {p.where for p in told.value.problems} == {"variant third", "weights"}
    ask(last_call=3)  # not started: the plan changes, no epoch begins
    with live.worker() as c:
        assert c.execute(select(Allocation.epoch)).all() == []
    tick(live, rulebook, NOON)
    with pytest.raises(ConflictError, match="goes once"):
        ask(last_call=9)

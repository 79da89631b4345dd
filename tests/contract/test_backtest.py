"""Backtests against what live did: the same store, the same lake, the same decisions."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from huntaze_pipeline.campaigns import reactions
from huntaze_pipeline.delivery import outbox
from huntaze_pipeline.events import inbox
from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.rehearsal import backtest
from huntaze_pipeline.rehearsal.past import Past
from huntaze_pipeline.rulebook import live, loader, registry
from huntaze_pipeline.rulebook.policies import Cap, Policies
from huntaze_pipeline.store.inflow import InboxEvent
from huntaze_pipeline.store.people import Account, Consent, Fan
from huntaze_pipeline.warehouse import lake, pull

RULES = Path(__file__).parents[2] / "rules"
START = datetime(2026, 2, 1, 9, 0, tzinfo=UTC)
END = START + timedelta(days=11, hours=20)
BOOK = loader.load(RULES)
CAP = Cap(count=2, per=timedelta(days=2))
POLICIES = Policies(BOOK.policies.file.model_copy(update={"caps": (CAP,)}))


class Month:
    """A month that live really went through: events, ticks and changes of mind."""

    def __init__(self, settings, store):
        self.settings, self.store = settings, store
        self.decisions = []
        self.number = 0
        with store.tenant("maya") as connection:
            registry.apply(connection, "maya", BOOK, START)
            long_ago = START - timedelta(days=30)
            for table in (Fan, Account):
                connection.execute(update(table).values(created_at=long_ago))

    def happen(self, name, fan, at, **more):
        self.wake(at)
        self.number += 1
        event = Event(
            creator_id="maya", event_id=f"e{self.number:03}", name=name, fan_id=fan,
            occurred_at=at, source="api", platform="onlyfans", **more,
        )  # fmt: skip
        with self.store.worker() as connection:
            inbox.append(connection, [event])
            connection.execute(
                update(InboxEvent)
                .where(InboxEvent.event_id == event.event_id)
                .values(received_at=at + timedelta(seconds=1))
            )
            self._record(
                connection,
                reactions.react(connection, None, [event], POLICIES, at + timedelta(seconds=1)),
            )

    def buy(self, fan, at, value=25):
        micros = value * 1_000_000
        self.happen("purchase", fan, at, value_micros=micros, currency="USD")

    def wake(self, at):
        with self.store.worker() as connection:
            self._record(connection, reactions.wake(connection, None, POLICIES, at))

    def _record(self, connection, reaction):
        outbox.record(connection, reaction.decisions)
        self.decisions += reaction.decisions

    def refuse(self, fan, at):
        with self.store.tenant("maya") as connection:
            connection.execute(
                update(Consent).where(Consent.fan_id == fan).values(granted=False, changed_at=at)
            )


@pytest.fixture
def month(settings, store, creator):
    """Two buyers; one changes its mind, and everything is in the lake but the last day."""
    month = Month(settings, store)
    day = timedelta(days=1)
    for number in range(12):
        at = START + number * day
        month.buy("fan-1", at)
        if number == 5:
            month.refuse("fan-2", at + timedelta(minutes=1))
        if number % 3 == 0:
            month.buy("fan-2", at + timedelta(hours=2))
        month.buy("fan-3", at + timedelta(hours=14), value=5 + number * 2)
        if number == 9:
            with lake.connect(settings) as con:
                pull.inbox(store, con)
    month.wake(END)
    return month


def trial(month, name, since=START, until=END, **more):
    with month.store.worker() as connection:
        rules = [a for a in live.automations(connection) if a.id == name]
    with lake.connect(month.settings) as con:
        past = Past(con, ["maya"])
        return backtest.automation(past, rules, POLICIES, since, until, **more)


def plain(decision):
    """What a decision says, without the instant of the tick that took it."""
    return {k: v for k, v in asdict(decision).items() if k not in ("decided_at", "snapshot_id")}


def test_a_backtest_of_what_was_live_makes_the_same_decisions(month):
    mine = {d.message_id: plain(d) for d in month.decisions if d.source_id == "thank_you"}
    found = trial(month, "thank_you")
    theirs = {d.message_id: plain(d) for d in found.decisions}
    assert theirs == mine
    reasons = {d.reason for d in found.decisions}
    assert {"frequency_cap", "consent_withdrawn", "quiet_hours", None} <= reasons

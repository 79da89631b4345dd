"""What is decided and how it is rung for: outbox and relay, on a real PostgreSQL."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import scene
from scene import look, record, run
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from huntaze_pipeline.clock import FixedClock
from huntaze_pipeline.delivery import accounts, outbox, relay
from huntaze_pipeline.delivery.accounts import STRICT, Directory
from huntaze_pipeline.delivery.limiter import Limits, Parcel
from huntaze_pipeline.delivery.outbox import Recorded
from huntaze_pipeline.delivery.queue import MemoryQueue, QueueError
from huntaze_pipeline.delivery.quotas import Quotas
from huntaze_pipeline.delivery.rollout import Rollout
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.store.session import Store


class Parking:
    """Remembers what was parked directly."""

    def __init__(self) -> None:
        self.parcels: list[Parcel] = []

    def enqueue(self, parcels: Any, limits: Mapping[str, Limits]) -> int:
        self.parcels += parcels
        return len(parcels)


@pytest.fixture
def decision(clock: FixedClock) -> Decision:
    at = {"not_before": clock(), "decided_at": clock()}
    return scene.decision(source="campaign", source_id="spring", **at)


def test_a_decision_made_twice_is_one_row(store: Store, creator: str, decision: Decision) -> None:
    assert record(store, decision) == Recorded(1, 0)
    again = replace(decision, content="another text")

    assert record(store, again, again, replace(decision, fan_id="fan-2")) == Recorded(1, 2)
    assert look(store, "select content from messages where fan_id = 'fan-1'") == ("Hi",)


def test_a_skip_keeps_its_reason_and_when_it_could_be_yes(
    store: Store, creator: str, decision: Decision, clock: FixedClock
) -> None:
    later = clock() + timedelta(hours=3)
    record(store, replace(decision, state="skipped", reason="quiet_hours", earliest_at=later))

    row = look(store, "select state, reason, earliest_at, ended_at from messages")
    assert row == ("skipped", "quiet_hours", later, clock())


def test_thousands_of_decisions_are_recorded_in_one_go(
    store: Store, creator: str, decision: Decision
) -> None:
    many = [replace(decision, occurrence=str(i)) for i in range(6000)]

    assert record(store, *many) == Recorded(6000, 0)
    assert record(store, *many) == Recorded(0, 6000)


def test_odd_characters_do_not_stop_a_batch(store: Store, creator: str, decision: Decision) -> None:
    record(store, replace(decision, content="a\x00b 🎉 \\u0000 \ud800 'x'"))

    assert look(store, "select content from messages")[0].startswith("ab 🎉")


def test_a_creator_cannot_record_for_another(
    store: Store, creator: str, decision: Decision
) -> None:
    run(store, "insert into creators (id, name) values ('zoe', 'Zoe')")

    with pytest.raises(ProgrammingError, match="row-level security"), store.tenant("zoe") as c:
        outbox.record(c, [decision])


# -- relay


def test_due_rows_ring_and_are_queued(
    store: Store, creator: str, decision: Decision, clock: FixedClock
) -> None:
    record(store, decision, replace(decision, fan_id="fan-2", not_before=clock() + timedelta(1)))
    queue = MemoryQueue()

    assert relay.publish(store, queue, clock()) == 1
    assert relay.publish(store, queue, clock()) == 0
    (note,) = queue.receive("medium", wait_s=0)
    assert [p.message_id for p in note.parcels] == [decision.message_id]
    assert look(store, "select state, queued_at from messages where fan_id = 'fan-1'") == (
        "queued", clock(),
    )  # fmt: skip


def test_a_high_message_is_rung_for_before_the_older_ones_of_others(
    store: Store, creator: str, decision: Decision, clock: FixedClock
) -> None:
    older = [
        replace(decision, occurrence=str(n), priority="low", not_before=clock() - timedelta(1))
        for n in range(5)
    ]
    record(store, *older, replace(decision, occurrence="urgent", priority="high"))
    queue = MemoryQueue()

    assert relay.publish(store, queue, clock(), limit=3) == 3
    waiting = {depth.name: depth.waiting for depth in queue.depths()}
    assert (waiting["high"], waiting["low"]) == (1, 1)
    assert look(store, "select count(*) from messages where state = 'decided'") == (3,)


def test_high_messages_are_free_to_go_before_the_others_are_rung_for(
    store: Store, creator: str, decision: Decision, clock: FixedClock
) -> None:
    record(store, decision, replace(decision, occurrence="urgent", priority="high"))
    seen = []

    class Looking(MemoryQueue):
        def send(self, parcels: Sequence[Parcel]) -> list[Parcel]:
            state = look(store, "select state from messages where priority = 'high'")
            seen.append((parcels[0].priority, *state))
            return super().send(parcels)

    assert relay.publish(store, Looking(), clock()) == 2
    assert seen == [("high", "decided"), ("medium", "queued")]


def test_high_messages_are_rung_for_alone_while_others_wait(
    store: Store, creator: str, decision: Decision, clock: FixedClock
) -> None:
    high = replace(decision, occurrence="urgent", priority="high")
    record(store, decision, high)
    queue = MemoryQueue()

    assert relay.publish(store, queue, clock(), urgent=True) == 1
    (note,) = queue.receive("high", wait_s=0)
    assert [p.message_id for p in note.parcels] == [high.message_id]


def test_a_row_past_its_time_expires_instead(
    store: Store, creator: str, decision: Decision, clock: FixedClock
) -> None:
    record(store, replace(decision, expires_at=clock()))

    assert relay.publish(store, MemoryQueue(), clock()) == 0
    assert look(store, "select state, reason from messages") == ("expired", "expired")


def test_rows_stay_decided_while_sqs_is_away_and_there_is_no_other_way(
    store: Store, creator: str, decision: Decision, clock: FixedClock
) -> None:
    record(store, decision)
    queue = MemoryQueue()
    queue.down = True

    with pytest.raises(QueueError):
        relay.publish(store, queue, clock())
    assert look(store, "select state from messages") == ("decided",)


def test_rows_are_parked_directly_while_sqs_is_away(
    store: Store, creator: str, decision: Decision, clock: FixedClock
) -> None:
    record(store, decision)
    queue, parking = MemoryQueue(), Parking()
    queue.down = True

    assert relay.publish(store, queue, clock(), direct=relay.Direct(parking, Directory(store))) == 1
    assert [p.message_id for p in parking.parcels] == [decision.message_id]
    assert look(store, "select state from messages") == ("queued",)


def test_accounts_outside_the_rollout_go_around_sqs(
    store: Store, creator: str, decision: Decision, clock: FixedClock
) -> None:
    record(store, decision)
    queue, parking = MemoryQueue(), Parking()
    direct = relay.Direct(parking, Directory(store))

    moved = relay.publish(store, queue, clock(), direct=direct, rollout=Rollout(False, 100))

    assert moved == len(parking.parcels) == 1
    assert queue.receive("medium", wait_s=0) == []


def test_a_paused_campaign_waits_and_goes_on_when_it_is_resumed(
    store: Store, creator: str, decision: Decision, clock: FixedClock
) -> None:
    run(
        store,
        """insert into campaigns (creator_id, id, name, status, platforms)
        values ('maya', 'spring', 'Spring', 'paused', '[]')""",
    )
    record(store, decision)
    queue = MemoryQueue()

    assert relay.publish(store, queue, clock()) == 0
    assert look(store, "select state, reason from messages") == ("decided", "campaign_paused")
    run(store, "update campaigns set status = 'active'")
    clock.advance(timedelta(seconds=relay.HOLD_S))
    assert relay.publish(store, queue, clock()) == 1
    assert look(store, "select state, reason from messages") == ("queued", None)


def test_two_relays_never_ring_twice_for_a_row(
    store: Store, creator: str, decision: Decision, clock: FixedClock
) -> None:
    record(store, *[replace(decision, occurrence=str(i)) for i in range(10)])
    queue = MemoryQueue()
    with store.worker() as other:
        other.execute(text("select 1 from messages where occurrence < '5' for update"))
        assert relay.publish(store, queue, clock()) == 5


def test_an_accounts_own_limit_wins_and_an_unknown_one_gets_the_strictest(
    store: Store, creator: str
) -> None:
    run(store, "update accounts set limit_count = 3, limit_window_s = 9 where id = 'maya-tiktok'")
    directory = Directory(store, Quotas({"tiktok": Limits(6, 60), "email": Limits(5, 60)}))

    limits = directory.limits(["maya-tiktok", "maya-email", "nobody"])

    assert limits == {"maya-tiktok": Limits(3, 9), "maya-email": Limits(5, 60), "nobody": STRICT}


def test_a_lowered_limit_is_told_also_when_the_account_was_read_again_before(
    store: Store, creator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = Directory(store)
    directory.limits(["maya-email"])
    run(store, "update accounts set limit_count = 3 where id = 'maya-email'")
    monkeypatch.setattr(accounts, "FRESH_S", 0)
    assert directory.of(["maya-email"])["maya-email"].limits.count == 3

    assert directory.changed() == {"maya-email": Limits(3, 60)}
    assert directory.changed() == {}


def test_new_policies_change_the_limits_of_accounts(store: Store, creator: str) -> None:
    directory = Directory(store)
    directory.limits(["maya-email", "maya-tiktok"])
    directory.quotas = Quotas({"email": Limits(5, 60)}, {"maya-tiktok": Limits(2, 60)})

    assert directory.changed() == {"maya-email": Limits(5, 60), "maya-tiktok": Limits(2, 60)}

"""Outbox, relay, single messages and receipts, on a real PostgreSQL."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import scene
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from huntaze_pipeline.clock import FixedClock
from huntaze_pipeline.delivery import accounts, estimate, intents, messages, outbox, receipts, relay
from huntaze_pipeline.delivery.accounts import STRICT, Directory
from huntaze_pipeline.delivery.limiter import Grant, Limits, Parcel
from huntaze_pipeline.delivery.outbox import Recorded
from huntaze_pipeline.delivery.queue import MemoryQueue, QueueError
from huntaze_pipeline.delivery.quotas import Quotas
from huntaze_pipeline.delivery.rollout import Rollout
from huntaze_pipeline.delivery.validation import Request
from huntaze_pipeline.errors import ConflictError, MessageError, NotFoundError
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.rulebook.policies import load_policies
from huntaze_pipeline.settings import Settings
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


def record(store: Store, *decisions: Decision) -> Recorded:
    with store.worker() as c:
        return outbox.record(c, decisions)


def one(store: Store, query: str) -> Any:
    with store.worker() as c:
        return c.execute(text(query)).one()


def run(store: Store, query: str) -> None:
    with store.worker() as c:
        c.execute(text(query))


# -- outbox


def test_a_decision_made_twice_is_one_row(store: Store, creator: str, decision: Decision) -> None:
    assert record(store, decision) == Recorded(1, 0)
    again = replace(decision, content="another text")

    assert record(store, again, again, replace(decision, fan_id="fan-2")) == Recorded(1, 2)
    assert one(store, "select content from messages where fan_id = 'fan-1'") == ("Hi",)


def test_a_skip_keeps_its_reason_and_when_it_could_be_yes(
    store: Store, creator: str, decision: Decision, clock: FixedClock
) -> None:
    later = clock() + timedelta(hours=3)
    record(store, replace(decision, state="skipped", reason="quiet_hours", earliest_at=later))

    row = one(store, "select state, reason, earliest_at, ended_at from messages")
    assert row == ("skipped", "quiet_hours", later, clock())


def test_thousands_of_decisions_are_recorded_in_one_go(
    store: Store, creator: str, decision: Decision
) -> None:
    many = [replace(decision, occurrence=str(i)) for i in range(6000)]

    assert record(store, *many) == Recorded(6000, 0)
    assert record(store, *many) == Recorded(0, 6000)


def test_odd_characters_do_not_stop_a_batch(store: Store, creator: str, decision: Decision) -> None:
    record(store, replace(decision, content="a\x00b 🎉 \\u0000 \ud800 'x'"))

    assert one(store, "select content from messages")[0].startswith("ab 🎉")


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
    assert one(store, "select state, queued_at from messages where fan_id = 'fan-1'") == (
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
    assert one(store, "select count(*) from messages where state = 'decided'") == (3,)


def test_high_messages_are_free_to_go_before_the_others_are_rung_for(
    store: Store, creator: str, decision: Decision, clock: FixedClock
) -> None:
    record(store, decision, replace(decision, occurrence="urgent", priority="high"))
    seen = []

    class Looking(MemoryQueue):
        def send(self, parcels: Sequence[Parcel]) -> list[Parcel]:
            state = one(store, "select state from messages where priority = 'high'")
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
    assert one(store, "select state, reason from messages") == ("expired", "expired")


def test_rows_stay_decided_while_sqs_is_away_and_there_is_no_other_way(
    store: Store, creator: str, decision: Decision, clock: FixedClock
) -> None:
    record(store, decision)
    queue = MemoryQueue()
    queue.down = True

    with pytest.raises(QueueError):
        relay.publish(store, queue, clock())
    assert one(store, "select state from messages") == ("decided",)


def test_rows_are_parked_directly_while_sqs_is_away(
    store: Store, creator: str, decision: Decision, clock: FixedClock
) -> None:
    record(store, decision)
    queue, parking = MemoryQueue(), Parking()
    queue.down = True

    assert relay.publish(store, queue, clock(), direct=relay.Direct(parking, Directory(store))) == 1
    assert [p.message_id for p in parking.parcels] == [decision.message_id]
    assert one(store, "select state from messages") == ("queued",)


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
    assert one(store, "select state, reason from messages") == ("decided", "campaign_paused")
    run(store, "update campaigns set status = 'active'")
    clock.advance(timedelta(seconds=relay.HOLD_S))
    assert relay.publish(store, queue, clock()) == 1
    assert one(store, "select state, reason from messages") == ("queued", None)


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


# -- single messages


def hello(**changed: Any) -> Request:
    return Request(**{"recipient": "fan-1", "content": "Hello"} | changed)


def test_a_submitted_message_can_be_followed(store: Store, creator: str, clock: FixedClock) -> None:
    accepted = messages.submit(store, creator, hello(priority="high"), now=clock())
    status = messages.status(store, creator, accepted.message_id)

    assert (status.status, status.state, status.account_id) == (
        "queued",
        "decided",
        "maya-onlyfans",
    )
    assert accepted.estimated_delivery == status.estimated_delivery
    assert status.attempts == ()


NIGHT, MORNING = datetime(2026, 3, 2, 22, tzinfo=UTC), datetime(2026, 3, 3, 7, 30, tzinfo=UTC)
"""23:00 and 08:30 in Paris, where the creator lives."""


def test_a_single_message_that_says_marketing_waits_for_the_morning(
    store: Store, creator: str, settings: Settings
) -> None:
    policies = load_policies(settings.rules_dir)
    offer = hello(topic="marketing")
    accepted = messages.submit(store, creator, offer, now=NIGHT, policies=policies)
    status = messages.status(store, creator, accepted.message_id)

    assert (status.state, status.reason, status.not_before) == ("decided", "quiet_hours", MORNING)
    assert accepted.estimated_delivery == MORNING + timedelta(seconds=0.5)


@pytest.mark.parametrize("topic", ["service", None])
def test_any_other_single_message_goes_at_any_hour_without_having_asked(
    store: Store, creator: str, settings: Settings, topic: str | None
) -> None:
    policies = load_policies(settings.rules_dir)
    run(store, "delete from consents")
    thanks = hello(topic=topic)
    accepted = messages.submit(store, creator, thanks, now=NIGHT, policies=policies)

    assert messages.status(store, creator, accepted.message_id).not_before == NIGHT


def test_a_single_message_that_says_marketing_needs_a_yes_and_time_until_the_morning(
    store: Store, creator: str, settings: Settings
) -> None:
    policies = load_policies(settings.rules_dir)
    hasty = hello(topic="marketing", expires_at=NIGHT + timedelta(hours=1))

    with pytest.raises(MessageError, match=r"expiresAt: is too early: .*2026-03-03T07:30:00"):
        messages.submit(store, creator, hasty, now=NIGHT, policies=policies)
    run(store, "delete from consents")
    with pytest.raises(MessageError, match=r"never agreed to 'marketing'.*'service'"):
        messages.submit(store, creator, hello(topic="marketing"), now=NIGHT, policies=policies)
    assert one(store, "select count(*) from messages") == (0,)


def test_single_messages_are_not_capped(store: Store, creator: str, settings: Settings) -> None:
    policies, noon = load_policies(settings.rules_dir), NIGHT - timedelta(hours=10)
    for number in range(5):
        words = hello(content=f"{number}", topic="marketing")
        messages.submit(store, creator, words, now=noon, policies=policies)

    assert one(store, "select count(*) from messages where not_before = decided_at") == (5,)


def test_the_same_key_is_the_same_message(store: Store, creator: str, clock: FixedClock) -> None:
    first = messages.submit(store, creator, hello(key="k"), now=clock())
    clock.advance(timedelta(seconds=5))
    again = messages.submit(store, creator, hello(key="k"), now=clock())

    assert (again.message_id, again.known) == (first.message_id, True)
    with pytest.raises(ConflictError, match="another message"):
        messages.submit(store, creator, hello(content="Other", key="k"), now=clock())
    with pytest.raises(ConflictError, match="another message"):
        messages.submit(store, creator, hello(recipient="fan-2", key="k"), now=clock())


def test_a_key_gets_the_same_answer_whatever_became_of_the_fan(
    store: Store, creator: str, clock: FixedClock
) -> None:
    first = messages.submit(store, creator, hello(key="k"), now=clock())
    with store.tenant(creator) as connection:
        connection.execute(text("update consents set granted = false"))
        connection.execute(text("update accounts set status = 'banned'"))
    again = messages.submit(store, creator, hello(key="k"), now=clock())
    with store.tenant(creator) as connection:
        connection.execute(text("delete from identities"))
    gone = messages.submit(store, creator, hello(key="k"), now=clock())

    assert {again.message_id, gone.message_id} == {first.message_id}
    assert gone.estimated_delivery == first.estimated_delivery
    with pytest.raises(ConflictError, match="another message"):  # before any fault is looked for
        messages.submit(store, creator, hello(recipient="nobody", content="", key="k"), now=clock())
    with pytest.raises(MessageError, match="NUL"):
        messages.submit(store, creator, hello(key="k\x00"), now=clock())


def test_the_same_text_without_a_key_is_two_messages(
    store: Store, creator: str, clock: FixedClock
) -> None:
    for _ in range(2):
        messages.submit(store, creator, hello(), now=clock())

    assert one(store, "select count(*) from messages") == (2,)


def test_every_fault_of_a_message_is_named_at_once(
    store: Store, creator: str, clock: FixedClock
) -> None:
    with pytest.raises(MessageError) as caught:
        messages.submit(
            store,
            creator,
            hello(recipient="nobody", content=" ", priority="urgent", subject="Hey"),
            now=clock(),
        )

    where = [problem.where for problem in caught.value.problems]
    assert sorted(where) == ["content", "priority", "recipientId", "subject"]
    assert one(store, "select count(*) from messages") == (0,)


def test_words_that_cannot_be_stored_are_refused_before_anything_is_asked(
    store: Store, creator: str, clock: FixedClock
) -> None:
    odd = {"recipient": "fan\x00", "content": "Hi \udcff", "subject": "\ud800", "topic": "\x00",
        "account_id": "\x00", "key": "\udcff"}  # fmt: skip
    for name, value in odd.items():
        with pytest.raises(MessageError, match=r"holds (a NUL|half a) character"):
            messages.submit(store, creator, hello(**{name: value}), now=clock())
    for action in (messages.status, messages.cancel, messages.retry):
        with pytest.raises(NotFoundError, match="no message"):
            action(
                store, creator, "m\udcff", **({} if action is messages.status else {"now": clock()})
            )

    assert one(store, "select count(*) from messages") == (0,)


def test_nobody_who_withdrew_or_is_suppressed_is_written_to(
    store: Store, creator: str, clock: FixedClock
) -> None:
    run(store, "update consents set granted = false where fan_id = 'fan-1'")
    run(
        store,
        """insert into suppressions (creator_id, platform, normalised, reason)
        values ('maya', 'onlyfans', 'fan-2', 'bounced')""",
    )
    for fan, words in (("fan-1", "withdrew consent"), ("fan-2", "bounced")):
        with pytest.raises(MessageError, match=words):
            messages.submit(store, creator, hello(recipient=fan), now=clock())


def test_a_reply_window_that_is_closed_is_a_fault(
    store: Store, creator: str, clock: FixedClock
) -> None:
    with pytest.raises(MessageError, match="never wrote"):
        messages.submit(store, creator, hello(platform="instagram"), now=clock())
    with store.worker() as c:
        c.execute(text("update identities set last_inbound_at = :at"), {"at": clock()})

    assert messages.submit(store, creator, hello(content="Hi", platform="instagram"), now=clock())


def test_a_creator_sees_and_changes_only_its_own_messages(
    store: Store, creator: str, clock: FixedClock
) -> None:
    run(store, "insert into creators (id, name) values ('zoe', 'Zoe')")
    accepted = messages.submit(store, creator, hello(), now=clock())

    for action in (messages.cancel, messages.retry):
        with pytest.raises(NotFoundError):
            action(store, "zoe", accepted.message_id, now=clock())
    with pytest.raises(NotFoundError):
        messages.status(store, "zoe", accepted.message_id)


def test_a_cancelled_message_can_be_sent_again(
    store: Store, creator: str, clock: FixedClock
) -> None:
    accepted = messages.submit(store, creator, hello(), now=clock())
    messages.cancel(store, creator, accepted.message_id, now=clock())
    assert relay.publish(store, MemoryQueue(), clock()) == 0
    with pytest.raises(ConflictError, match="cancelled"):
        messages.cancel(store, creator, accepted.message_id, now=clock())
    messages.retry(store, creator, accepted.message_id, now=clock())

    assert relay.publish(store, MemoryQueue(), clock()) == 1
    assert one(store, "select count(*) from audit") == (2,)


def test_a_message_that_is_being_called_for_cannot_be_cancelled(
    store: Store, creator: str, clock: FixedClock
) -> None:
    accepted = messages.submit(store, creator, hello(), now=clock())
    run(store, "update messages set state = 'claimed'")

    with pytest.raises(ConflictError, match="claimed"):
        messages.cancel(store, creator, accepted.message_id, now=clock())


def test_another_account_s_permit_is_not_for_a_message(store: Store, creator: str) -> None:
    (message,) = scene.decide(store, scene.decision())
    run(
        store,
        """insert into checkpoints (name, position)
        values ('limiter', '{"epoch": "e"}')""",
    )

    def answer(*accounts: str) -> list[intents.Intent | intents.Stop]:
        grants = [Grant(name, "maya", message, f"p-{name}", "medium") for name in accounts]
        now = datetime.now(UTC)
        return intents.commit(store, grants, epoch="e", worker="w", lease_s=30, now=now)

    wrong = answer("maya-tiktok", "maya-onlyfans")
    assert wrong == [intents.Stop("elsewhere"), intents.Stop("gone")]
    assert one(store, "select state, reason, fence from messages") == ("decided", None, 0)
    assert isinstance(answer("maya-onlyfans")[0], intents.Intent)


def test_the_estimate_follows_the_place_in_the_queue(
    store: Store, creator: str, clock: FixedClock
) -> None:
    given = [
        messages.submit(store, creator, hello(content=f"{i}"), now=clock()).estimated_delivery
        for i in range(21)
    ]
    waits = [round((at - clock()).total_seconds() - estimate.LATENCY_S) for at in given if at]

    assert waits == [0] * 10 + [60] * 10 + [120]
    high = messages.submit(store, creator, hello(content="now", priority="high"), now=clock())
    assert high.estimated_delivery == given[0]


def test_the_estimate_knows_an_account_s_own_limit_in_the_policies(
    store: Store, creator: str, clock: FixedClock
) -> None:
    strict = Quotas(accounts={"maya-onlyfans": Limits(1, 30.0)})
    given = [
        messages.submit(
            store, creator, hello(content=f"{i}"), now=clock(), quotas=strict
        ).estimated_delivery
        for i in range(3)
    ]
    waits = [round((at - clock()).total_seconds() - estimate.LATENCY_S) for at in given if at]

    assert waits == [0, 30, 60]


def test_a_message_that_is_being_called_takes_one_place_not_two(
    store: Store, creator: str, clock: FixedClock
) -> None:
    for i in range(9):
        messages.submit(store, creator, hello(content=f"{i}"), now=clock())
    run(store, "update messages set state = 'claimed', fence = 1")
    run(
        store,
        """insert into attempts (creator_id, message_id, fence, account_id, worker, intent_at)
        select creator_id, id, 1, account_id, 'w', clock_timestamp() from messages""",
    )

    waits = [
        (at - clock()).total_seconds()
        for i in range(2)
        if (
            at := messages.submit(
                store, creator, hello(content=f"+{i}"), now=clock()
            ).estimated_delivery
        )
    ]

    assert [round(wait - estimate.LATENCY_S) for wait in waits] == [0, 60]


# -- receipts


@pytest.fixture
def sent(store: Store, creator: str, decision: Decision) -> str:
    record(store, replace(decision, variant_id="b", template_id="t"))
    run(store, "update messages set state = 'sent', platform_ref = 'ref-1'")
    return decision.message_id


def receipt(message: str, kind: str = "delivered", **more: Any) -> dict[str, Any]:
    return {
        "id": f"r-{kind}", "kind": kind, "message_id": message, "account_id": "maya-onlyfans",
        "platform": "onlyfans", "occurred_at": "2026-03-02T12:00:05Z",
    } | more  # fmt: skip


def accept(store: Store, clock: FixedClock, *given: Any) -> receipts.Accepted:
    with store.worker() as c:
        return receipts.accept(c, list(given), clock())


def test_a_receipt_becomes_an_event_once(store: Store, sent: str, clock: FixedClock) -> None:
    clicked = receipt(sent, "clicked", user_agent="Mozilla")

    assert accept(store, clock, clicked, clicked).new == 1
    assert accept(store, clock, clicked) == receipts.Accepted(0, 1, [])
    row = one(store, "select event_id, name, fan_id, campaign_id, properties from inbox")
    properties = {"variant": "b", "template": "t", "user_agent": "Mozilla"}
    assert row == ("receipt:r-clicked", "clicked", "fan-1", "spring", properties)


def test_a_purchase_keeps_its_value_to_the_cent(store: Store, sent: str, clock: FixedClock) -> None:
    accept(store, clock, receipt(sent, "bought", value=19.99, currency="EUR"))

    assert one(store, "select name, value_micros, currency from inbox") == (
        "purchase", 19_990_000, "EUR",
    )  # fmt: skip


def test_the_platforms_reference_names_the_message_too(
    store: Store, sent: str, clock: FixedClock
) -> None:
    by_ref = receipt(sent, message_id=None, platform_ref="ref-1")

    assert accept(store, clock, by_ref).new == 1
    assert one(store, "select message_id from inbox") == (sent,)


def test_what_fans_do_has_its_effects(store: Store, sent: str, clock: FixedClock) -> None:
    kinds = ("bounced", "replied", "unsubscribed")
    assert accept(store, clock, *[receipt(sent, kind) for kind in kinds]).new == 3

    assert one(store, "select platform, normalised, reason from suppressions") == (
        "onlyfans", "fan-1", "bounced",
    )  # fmt: skip
    query = "select last_inbound_at from identities where fan_id='fan-1' and platform='onlyfans'"
    assert one(store, query)[0] == clock() + timedelta(seconds=5)
    assert one(store, "select granted from consents where fan_id = 'fan-1'") == (False,)


def test_an_old_unsubscribe_does_not_undo_a_newer_consent(
    store: Store, sent: str, clock: FixedClock
) -> None:
    old = receipt(sent, "unsubscribed", occurred_at="2025-01-01T00:00:00Z")
    accept(store, clock, old)

    assert one(store, "select granted from consents where fan_id = 'fan-1'") == (True,)


def test_a_delivery_proves_that_a_lost_answer_was_a_yes(
    store: Store, sent: str, clock: FixedClock
) -> None:
    run(store, "update messages set state = 'unknown', sent_at = null")
    accept(store, clock, receipt(sent))

    assert one(store, "select state from messages") == ("sent",)
    with store.worker() as c:
        names = set(c.execute(text("select name from inbox")).scalars())
    assert names == {"sent", "delivered"}


def test_a_receipt_for_an_unknown_message_is_kept_whole(
    store: Store, sent: str, clock: FixedClock
) -> None:
    stranger = receipt("no-such-message")

    found = accept(store, clock, stranger, stranger)

    assert (found.new, found.quarantined) == (0, 2)
    assert one(store, "select creator_id, raw from quarantine") == ("maya", stranger)


def test_malformed_receipts_do_not_hold_up_good_ones(
    store: Store, sent: str, clock: FixedClock
) -> None:
    bad = [
        "text", {}, receipt(sent, "exploded"), receipt(sent, "clicked", occurred_at="noon"),
        receipt(sent, "bought", value="much"), receipt(sent, "bought", id="n", value=-1),
        receipt(sent, "opened", occurred_at="2027-03-02T12:00:05Z"), receipt("x", account_id="y"),
    ]  # fmt: skip

    found = accept(store, clock, *bad, receipt(sent))

    assert found.new == 1
    assert {p.where.split("]")[0] for p in found.rejected} == {f"receipts[{i}" for i in range(8)}

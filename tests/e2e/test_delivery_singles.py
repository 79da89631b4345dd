"""Single messages, from the request to what became of it, on a real PostgreSQL."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import scene
from scene import look, run
from sqlalchemy import text

from huntaze_pipeline.clock import FixedClock
from huntaze_pipeline.delivery import estimate, intents, messages, relay
from huntaze_pipeline.delivery.limiter import Grant, Limits
from huntaze_pipeline.delivery.queue import MemoryQueue
from huntaze_pipeline.delivery.quotas import Quotas
from huntaze_pipeline.delivery.validation import Request
from huntaze_pipeline.errors import ConflictError, MessageError, NotFoundError
from huntaze_pipeline.rulebook.policies import load_policies
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.session import Store


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
    assert look(store, "select count(*) from messages") == (0,)


def test_single_messages_are_not_capped(store: Store, creator: str, settings: Settings) -> None:
    policies, noon = load_policies(settings.rules_dir), NIGHT - timedelta(hours=10)
    for number in range(5):
        words = hello(content=f"{number}", topic="marketing")
        messages.submit(store, creator, words, now=noon, policies=policies)

    assert look(store, "select count(*) from messages where not_before = decided_at") == (5,)


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

    assert look(store, "select count(*) from messages") == (2,)


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
    assert look(store, "select count(*) from messages") == (0,)


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

    assert look(store, "select count(*) from messages") == (0,)


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
    assert look(store, "select count(*) from audit") == (2,)


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
    assert look(store, "select state, reason, fence from messages") == ("decided", None, 0)
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

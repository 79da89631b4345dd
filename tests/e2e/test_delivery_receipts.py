"""What platforms tell of messages afterwards, on a real PostgreSQL."""

from datetime import timedelta
from typing import Any

import pytest
import scene
from scene import look, record, run
from sqlalchemy import text

from huntaze_pipeline.clock import FixedClock
from huntaze_pipeline.delivery import receipts
from huntaze_pipeline.store.session import Store


@pytest.fixture
def sent(store: Store, creator: str, clock: FixedClock) -> str:
    decision = scene.decision(
        source="campaign", source_id="spring", variant_id="b", template_id="t",
        not_before=clock(), decided_at=clock(),
    )  # fmt: skip
    record(store, decision)
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
    row = look(store, "select event_id, name, fan_id, campaign_id, properties from inbox")
    properties = {"variant": "b", "template": "t", "user_agent": "Mozilla"}
    assert row == ("receipt:r-clicked", "clicked", "fan-1", "spring", properties)


def test_a_purchase_keeps_its_value_to_the_cent(store: Store, sent: str, clock: FixedClock) -> None:
    accept(store, clock, receipt(sent, "bought", value=19.99, currency="EUR"))

    assert look(store, "select name, value_micros, currency from inbox") == (
        "purchase", 19_990_000, "EUR",
    )  # fmt: skip


def test_the_platforms_reference_names_the_message_too(
    store: Store, sent: str, clock: FixedClock
) -> None:
    by_ref = receipt(sent, message_id=None, platform_ref="ref-1")

    assert accept(store, clock, by_ref).new == 1
    assert look(store, "select message_id from inbox") == (sent,)


def test_what_fans_do_has_its_effects(store: Store, sent: str, clock: FixedClock) -> None:
    kinds = ("bounced", "replied", "unsubscribed")
    assert accept(store, clock, *[receipt(sent, kind) for kind in kinds]).new == 3

    assert look(store, "select platform, normalised, reason from suppressions") == (
        "onlyfans", "fan-1", "bounced",
    )  # fmt: skip
    query = "select last_inbound_at from identities where fan_id='fan-1' and platform='onlyfans'"
    assert look(store, query)[0] == clock() + timedelta(seconds=5)
    assert look(store, "select granted from consents where fan_id = 'fan-1'") == (False,)


def test_an_old_unsubscribe_does_not_undo_a_newer_consent(
    store: Store, sent: str, clock: FixedClock
) -> None:
    old = receipt(sent, "unsubscribed", occurred_at="2025-01-01T00:00:00Z")
    accept(store, clock, old)

    assert look(store, "select granted from consents where fan_id = 'fan-1'") == (True,)


def test_a_delivery_proves_that_a_lost_answer_was_a_yes(
    store: Store, sent: str, clock: FixedClock
) -> None:
    run(store, "update messages set state = 'unknown', sent_at = null")
    accept(store, clock, receipt(sent))

    assert look(store, "select state from messages") == ("sent",)
    with store.worker() as c:
        names = set(c.execute(text("select name from inbox")).scalars())
    assert names == {"sent", "delivered"}


def test_a_receipt_for_an_unknown_message_is_kept_whole(
    store: Store, sent: str, clock: FixedClock
) -> None:
    stranger = receipt("no-such-message")

    found = accept(store, clock, stranger, stranger)

    assert (found.new, found.quarantined) == (0, 2)
    assert look(store, "select creator_id, raw from quarantine") == ("maya", stranger)


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

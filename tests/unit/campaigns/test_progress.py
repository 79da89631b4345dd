"""How far a campaign is, read from the real store: counts, lines, and who else is in them."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import insert, update

from huntaze_pipeline.campaigns import progress
from huntaze_pipeline.campaigns.eta import Line
from huntaze_pipeline.delivery import outbox
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.store.outflow import Attempt
from huntaze_pipeline.store.people import Account

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def decision(fan, source_id="spring", hours=0, **more):
    base = {
        "creator_id": "maya", "source": "campaign", "source_id": source_id, "rule_hash": "",
        "fan_id": fan, "platform": "onlyfans", "account_id": "maya-onlyfans", "address": fan,
        "content": "hi", "not_before": NOON + timedelta(hours=hours), "decided_at": NOON,
    }  # fmt: skip
    return Decision(**base | more)


def lines(store):
    with store.tenant("maya") as connection:
        return progress.lines(connection, "maya", "spring", NOON, lambda *_: (10, 60.0))


def record(store, *decisions):
    with store.worker() as connection:
        outbox.record(connection, decisions)


def test_messages_are_counted_by_state_and_reason_without_its_detail(store, creator):
    lost = [decision(f"l{n}", state="skipped", reason=f"render_error: {n}") for n in range(2)]
    record(store, decision("fan-1"), *lost, decision("fan-2", source_id="other"))
    with store.tenant("maya") as connection:
        found = progress.counts(connection, "maya", "spring")
    assert found == [
        progress.Count("skipped", "render_error", 2), progress.Count("decided", None, 1)
    ]  # fmt: skip


def test_a_line_holds_what_waits_at_the_account_up_to_the_campaigns_last(store, creator):
    later = [decision("fan-2", hours=2), decision("fan-3", source_id="other", hours=5)]
    ahead = decision("fan-1", source_id="other", hours=-1)
    record(store, decision("fan-1"), *later, ahead)
    assert lines(store) == [Line("maya-onlyfans", 10, 60.0, {0.0: 2, 7200.0: 1})]


def test_an_accounts_own_limit_and_its_last_calls_count(store, creator):
    record(store, decision("fan-1"))
    call = {"creator_id": "maya", "message_id": "m", "fence": 1, "account_id": "maya-onlyfans",
            "worker": "w"}  # fmt: skip
    with store.worker() as connection:
        connection.execute(update(Account).values(limit_count=3, limit_window_s=30))
        for number, ago in enumerate((10, 29, 31)):
            at = NOON - timedelta(seconds=ago)
            connection.execute(insert(Attempt).values(**call | {"fence": number}, intent_at=at))
    assert lines(store) == [Line("maya-onlyfans", 3, 30.0, {0.0: 1}, 2)]


def test_a_campaign_without_messages_has_no_line(store, creator):
    assert lines(store) == []

"""One set of promises, kept by the in-memory model, by Redis and by the books."""

import time
from collections import Counter

import pytest
from limiters import Bench, names

from huntaze_pipeline.delivery.books import BooksLimiter
from huntaze_pipeline.delivery.limiter import Parcel, Permit


def test_an_account_gets_as_many_permits_as_its_limit(bench: Bench) -> None:
    assert bench.park(*"12345") == 5

    assert sorted(names(bench.claim())) == ["1", "2", "3"]
    assert bench.claim() == []


def test_a_message_that_waits_already_is_not_put_there_twice(bench: Bench) -> None:
    bench.park("1")

    assert bench.park("1", "2") == 1
    assert sorted(names(bench.claim())) == ["1", "2"]


def test_the_window_starts_when_the_call_ends(bench: Bench) -> None:
    bench.park(*"123456")
    first = bench.claim()
    bench.sleep(0.5)

    assert bench.claim() == []
    bench.end(first)
    bench.sleep(0.2)
    assert bench.claim() == []
    bench.sleep(0.25)
    assert len(bench.claim()) == 3


def test_a_window_starts_when_its_call_ended_however_late_that_is_told(bench: Bench) -> None:
    bench.park(*"123456")
    first = bench.claim()
    bench.sleep(0.5)
    bench.end(first[:1], ago_s=0.45)
    bench.end(first[1:], ago_s=0.15)

    assert len(bench.claim()) == 1
    bench.sleep(0.15)
    assert bench.claim() == []
    bench.sleep(0.15)
    assert len(bench.claim()) == 2


def test_the_claim_says_when_the_next_message_can_go(bench: Bench) -> None:
    bench.park(*"1234")
    bench.end(bench.claim())

    wake = bench.limiter.claim(100, lease_s=5).wake_s

    assert wake is not None
    assert 0.2 < wake / bench.scale <= 0.402


def test_an_empty_limiter_has_nothing_to_wake_for(bench: Bench) -> None:
    assert bench.limiter.claim(100, lease_s=5).wake_s is None


def test_an_unused_permit_is_free_again_at_once(bench: Bench) -> None:
    bench.park(*"123456")
    bench.end(bench.claim(), Permit.UNUSED)

    assert sorted(names(bench.claim())) == ["4", "5", "6"]


def test_a_dead_workers_lease_counts_as_a_call_at_its_end(bench: Bench) -> None:
    bench.park(*"123")
    bench.claim(lease_s=0.3)
    bench.sleep(0.35)

    assert bench.claim() == []
    bench.sleep(0.2)
    assert bench.claim() == []
    bench.sleep(0.2)
    assert sorted(names(bench.claim())) == ["1", "2", "3"]


def test_a_lost_answer_keeps_its_permit_until_lease_end_and_window(bench: Bench) -> None:
    bench.park(*"1234")
    bench.end(bench.claim(lease_s=0.3), Permit.HELD)
    bench.sleep(0.45)

    assert bench.claim() == []
    bench.sleep(0.3)
    assert names(bench.claim()) == ["4"]


def test_a_retry_spends_its_permit_and_queues_again_after_its_wait(bench: Bench) -> None:
    bench.park("1")
    bench.end(bench.claim(), requeue_s=0.2)

    assert bench.claim() == []
    bench.sleep(0.25)
    assert names(bench.claim()) == ["1"]


def test_a_blocked_account_rests_while_others_go_on(bench: Bench) -> None:
    bench.park("1", "2", account="a")
    bench.end(bench.claim(), Permit.SPENT, requeue_s=0, block_s=0.3)
    bench.park("3", account="b")

    assert names(bench.claim()) == ["3"]
    assert bench.limiter.peek("a").blocked_s > 0.1 * bench.scale
    bench.sleep(0.45)
    assert sorted(names(bench.claim())) == ["1", "2"]


def test_high_goes_before_medium_before_low(bench: Bench) -> None:
    bench.park("l", priority="low")
    bench.park("m", priority="medium")
    bench.park("h", priority="high")

    order = [g.message_id for _ in range(3) for g in bench.claim(16)]

    assert order == ["h", "m", "l"]


def test_priorities_share_scarce_permits_by_their_weights(bench: Bench) -> None:
    bench.crowd(high=480, medium=160, low=80)

    granted = Counter(g.priority for g in bench.claim(16 * 21, lease_s=60))

    assert granted == {"high": 16 * 16, "medium": 16 * 4, "low": 16}


def test_priorities_share_by_their_weights_when_claims_are_small_too(bench: Bench) -> None:
    bench.crowd(high=480, medium=160, low=80)

    granted = Counter(g.priority for _ in range(21) for g in bench.claim(16, lease_s=60))

    assert 60 <= granted["medium"] <= 75
    assert 12 <= granted["low"] <= 25
    assert granted.total() == 21 * 16


def test_what_one_priority_leaves_the_others_take(bench: Bench) -> None:
    bench.crowd(high=1, medium=2, low=40)

    granted: Counter[str] = Counter()
    while len(found := bench.claim(32, lease_s=60)) > 0:
        granted.update(g.priority for g in found)

    assert granted == {"high": 1, "medium": 2, "low": 40}


def test_a_claim_for_high_ones_leaves_the_others_where_they_are(bench: Bench) -> None:
    now = round(time.time() * 1000) - 1000
    both = [Parcel("c", name, "a", name, now) for name in ("low", "high")]
    bench.limiter.enqueue(both, {"a": bench.limit(3, 60)})
    bench.crowd(high=2, medium=8, low=8)

    urgent = bench.limiter.claim(64, lease_s=60 * bench.scale, urgent=True)

    assert sorted(names(urgent.grants)) == ["high", "high-0", "high-1"]
    assert "low" in (rest := names(bench.claim(320, lease_s=60)))
    assert len(rest) == 17


def test_a_low_message_that_waited_long_goes_before_a_fresh_high_one(bench: Bench) -> None:
    old = Parcel("c", "old", "a", "low", 0)
    new = Parcel("c", "new", "a", "high", 20 * 60_000 + 1)
    bench.limiter.enqueue([new, old], {"a": bench.limit(1, 0.4)})

    assert names(bench.claim()) == ["old"]


def test_a_late_settlement_after_the_lease_still_counts(bench: Bench) -> None:
    bench.park(*"123")
    grants = bench.claim(lease_s=0.1)
    bench.sleep(0.3)
    bench.claim()
    bench.end(grants)
    bench.sleep(0.3)

    assert bench.claim() == []
    assert bench.limiter.peek("a").waiting == 0


def test_a_longer_window_rests_the_account_for_it(bench: Bench) -> None:
    if isinstance(bench.limiter, BooksLimiter):
        pytest.skip("the books forget no call; see the next test")
    bench.park("1")
    bench.limiter.configure({"a": bench.limit(3, 0.8)})

    assert bench.claim() == []
    bench.sleep(0.85)
    assert names(bench.claim()) == ["1"]


def test_a_lower_limit_holds_from_the_next_claim(bench: Bench) -> None:
    bench.park(*"12")
    bench.end(bench.claim())
    bench.limiter.enqueue([Parcel("c", "3", "a", "high", 3)], {"a": bench.limit(1, 0.4)})

    assert bench.claim() == []


def test_one_busy_account_does_not_hold_up_a_quiet_one(bench: Bench) -> None:
    bench.limiter.enqueue(
        [Parcel("c", f"n{i}", "noisy", "medium", i) for i in range(500)],
        {"noisy": bench.limit(3, 0.4)},
    )
    bench.park("q", account="quiet")

    assert "q" in names(bench.claim(32))


def test_nobody_knows_an_account_that_never_sent(bench: Bench) -> None:
    assert bench.limiter.peek("nobody").limits is None


def test_peek_shows_calls_in_flight_and_in_the_window(bench: Bench) -> None:
    bench.park(*"1234")
    grants = bench.claim()
    bench.end(grants[:1])

    view = bench.limiter.peek("a")

    assert (view.calls_in_window, view.in_flight, view.waiting) == (1, 2, 1)
    assert view.slot_s is not None
    assert 0 < view.slot_s <= 0.402 * bench.scale

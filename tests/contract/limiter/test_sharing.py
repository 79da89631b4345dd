"""Limits that accounts share, kept by all three."""

from collections import Counter

from limiters import Bench

from huntaze_pipeline.delivery.limiter import EVERYBODY, Permit


def test_accounts_of_a_pool_share_its_limit(bench: Bench) -> None:
    bench.limiter.share({"email": bench.limit(4, 1.0)})
    for account in ("a", "b", "c"):
        bench.pool(account, 3)
    bench.warm()

    first = bench.claim()
    assert len(first) == 4
    assert len({g.account_id for g in first}) > 1
    bench.end(first[:2], Permit.UNUSED, requeue_s=0)
    again = bench.claim()
    assert len(again) == 2
    bench.end(first[2:] + again)
    bench.sleep(0.6)
    assert bench.claim() == []
    bench.sleep(1.6)
    assert len(bench.claim()) == 4


def test_a_pool_without_room_holds_up_no_other(bench: Bench) -> None:
    bench.limiter.share({"email": bench.limit(1, 1.0)})
    for i in range(40):
        bench.pool(f"full{i}", 1)
    bench.pool("free", 2, platform="tiktok")
    bench.warm()

    granted = [g.account_id for g in bench.claim(32) + bench.claim(32)]
    assert granted.count("free") == 2
    assert len(granted) == 3


def test_everybody_shares_the_limit_of_all(bench: Bench) -> None:
    bench.limiter.share({EVERYBODY: bench.limit(3, 1.0)})
    bench.pool("a", 2)
    bench.pool("b", 2, platform="tiktok")
    bench.warm()

    first = bench.claim()
    assert len(first) == 3
    assert bench.claim() == []
    bench.end(first)
    bench.sleep(2.2)
    assert len(bench.claim()) == 1


def test_the_last_tenth_of_a_shared_limit_is_for_high_alone(bench: Bench) -> None:
    bench.limiter.share({"email": bench.limit(20, 60.0)})
    bench.crowd("email", low=30)
    bench.warm()

    assert _claimed(bench) == {"low": 18}
    bench.crowd("email", high=5)
    assert _claimed(bench) == {"high": 2}


def test_a_shared_limit_goes_round_by_priority(bench: Bench) -> None:
    bench.limiter.share({"email": bench.limit(21, 60.0)})
    bench.crowd("email", high=40, medium=40, low=40)
    bench.warm()

    granted = _claimed(bench)
    assert granted.total() == 21
    assert granted["high"] >= 14
    assert granted["low"] >= 1


def test_a_shared_limit_may_change_at_any_time(bench: Bench) -> None:
    bench.limiter.share({"email": bench.limit(5, 1.0)})
    bench.pool("a", 3)
    bench.pool("b", 3)
    bench.warm()
    bench.end(bench.claim())
    bench.limiter.share({"email": bench.limit(2, 1.0)})

    assert bench.claim() == []
    bench.limiter.share({})
    assert len(bench.claim()) == 1


def _claimed(bench: Bench) -> Counter[str]:
    """Claim until there is nothing more; return how many went by priority."""
    granted: Counter[str] = Counter()
    while found := bench.claim(64, lease_s=60):
        granted.update(g.priority for g in found)
    return granted

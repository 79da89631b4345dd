"""What only Redis can do: lose everything, be another, or jump in time."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from limiters import LIMIT, Bench, names, over_redis

from huntaze_pipeline.delivery import shards
from huntaze_pipeline.delivery.limiter import LostError, Parcel, StepError
from huntaze_pipeline.delivery.scripts import connect
from huntaze_pipeline.delivery.shards import ChangedServerError, RedisLimiter
from huntaze_pipeline.settings import Settings


def test_a_flushed_redis_is_noticed(lean: Settings) -> None:
    limiter = over_redis(lean)
    limiter.enqueue([Parcel("c", "1", "a", "high", 1)], {"a": LIMIT})
    limiter.client.flushdb()

    with pytest.raises(LostError):
        limiter.claim(10, lease_s=5)


def test_claims_for_high_ones_are_nobodys_turn(lean: Settings) -> None:
    bench = Bench(over_redis(lean), time.sleep)
    bench.crowd(high=800, medium=160, low=80)
    granted: Counter[str] = Counter()

    for _ in range(21):
        bench.limiter.claim(16, lease_s=60, urgent=True)
        granted.update(g.priority for g in bench.claim(16, lease_s=60))

    assert 60 <= granted["medium"] <= 75
    assert 12 <= granted["low"] <= 25


def test_what_another_format_wrote_is_not_believed(
    lean: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    over_redis(lean)
    monkeypatch.setattr(shards, "_FORMAT", shards._FORMAT + 1)
    limiter = RedisLimiter(connect(lean), namespace="test")
    limiter.epoch = "first"

    with pytest.raises(LostError):
        limiter.claim(10, lease_s=5)


def test_another_server_is_noticed_on_connecting(lean: Settings) -> None:
    limiter = over_redis(lean)
    limiter.run_id = "the one before"
    limiter.client.connection_pool.disconnect()

    with pytest.raises(ChangedServerError):
        limiter.claim(10, lease_s=5)


def test_no_connection_is_trusted_after_a_rebuild_and_no_call_under_way_is_torn(
    lean: Settings,
) -> None:
    limiter = over_redis(lean)
    with ThreadPoolExecutor(1) as thread:
        under_way = thread.submit(limiter.client.blpop, ["nothing"], 1)
        while not limiter.client.info("clients")["blocked_clients"]:
            time.sleep(0.01)
        limiter.reconnect()
        assert under_way.result() is None

    limiter.run_id = "the one before"
    with pytest.raises(ChangedServerError):
        limiter.peek("a")


def test_a_clock_that_jumps_forward_stops_claims_for_a_window(lean: Settings) -> None:
    limiter = over_redis(lean)
    limiter.rest_s = 0.3
    limiter.claim(16, lease_s=5)
    shown, at = limiter.watch.baseline or (0, 0.0)
    limiter.watch.baseline = (shown - 60_000, at)
    limiter.enqueue([Parcel("c", "1", "a", "high", 1)], {"a": LIMIT})

    with pytest.raises(StepError):
        limiter.claim(16, lease_s=5)
    assert limiter.claim(16, lease_s=5).grants == []
    time.sleep(0.35)
    assert names(limiter.claim(16, lease_s=5).grants) == ["1"]


def test_restored_calls_count_like_those_that_were_lost(lean: Settings) -> None:
    limiter = over_redis(lean)
    limiter.client.flushdb()
    limiter.restore("second", [("a", 100, 0), ("a", 0, 0), ("a", -1, 100)], {"a": LIMIT})
    limiter.epoch = "second"
    bench = Bench(limiter, time.sleep)
    bench.park("1", "2", "3")

    assert bench.claim() == []
    bench.sleep(0.32)
    assert len(bench.claim()) == 1
    bench.sleep(0.3)
    assert len(bench.claim()) == 2


def test_the_calls_of_a_quiet_limiter_expire_with_lease_and_window(lean: Settings) -> None:
    bench = Bench(over_redis(lean), time.sleep)
    bench.park("1")
    bench.end(bench.claim())
    limiter = bench.limiter
    assert isinstance(limiter, RedisLimiter)

    left = limiter.client.pttl(f"{limiter.base(limiter.shard('a'))}calls")

    assert 5000 < left <= 6400

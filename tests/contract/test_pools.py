"""Limits that accounts share, in a real Redis: nothing unsaid is ever given twice."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from effort import seconds

from huntaze_pipeline.delivery.limiter import (
    EVERYBODY,
    Limits,
    Parcel,
    Permit,
    Settlement,
)
from huntaze_pipeline.delivery.pools import Pools
from huntaze_pipeline.delivery.scripts import connect
from huntaze_pipeline.delivery.shards import RedisLimiter
from huntaze_pipeline.settings import Settings

PLENTY = [1000, 1000, 1000]


@pytest.fixture
def pools(lean: Settings) -> Pools:
    return Pools(connect(lean), "test:{pools}")


def known(pools: Pools, **totals: Limits) -> None:
    """Set totals that Redis has known for long: none of their calls is unknown."""
    pools.totals = {EVERYBODY if name == "everybody" else name: t for name, t in totals.items()}
    pools.restore([])


def test_a_limit_that_is_new_rests_for_a_window_and_a_lease(pools: Pools) -> None:
    pools.totals = {"email": Limits(5, 1)}

    given, wait = pools.lease("one", {"email": [9, 0, 0]}, lease_s=0.5)

    assert given == {"email": [0, 0, 0]}
    assert wait is not None
    assert 1.3 < wait <= 1.5


def test_a_chunk_that_nobody_ends_counts_until_its_end_and_a_window(pools: Pools) -> None:
    known(pools, email=Limits(3, 1))
    assert pools.lease("dead", {"email": [9, 0, 0]}, lease_s=0.2)[0] == {"email": [3, 0, 0]}

    time.sleep(1.0)
    assert pools.lease("two", {"email": [9, 0, 0]}, lease_s=0.2)[0] == {"email": [0, 0, 0]}
    time.sleep(1.4)
    assert pools.lease("three", {"email": [9, 0, 0]}, lease_s=0.2)[0] == {"email": [3, 0, 0]}


def test_permits_that_were_not_used_are_free_at_once(pools: Pools) -> None:
    known(pools, email=Limits(3, 5), everybody=Limits(3, 5))
    pools.lease("one", {"email": [3, 0, 0]}, lease_s=5)
    pools.end([("email", "one", False)] * 2 + [("email", "one", True)])

    assert pools.lease("two", {"email": [9, 0, 0]}, lease_s=5)[0] == {"email": [2, 0, 0]}


def test_calls_that_redis_forgot_are_counted_again(pools: Pools) -> None:
    pools.totals = {"email": Limits(5, 5), EVERYBODY: Limits(6, 5)}
    pools.restore([("email", 100, 0), ("email", -1, 900), ("tiktok", 200, 0)])

    given, _ = pools.lease("one", {"email": [9, 0, 0], "tiktok": [9, 0, 0]}, lease_s=5)

    assert given["email"][0] <= 3
    assert given["email"][0] + given["tiktok"][0] == 3


def test_scarce_permits_go_sixteen_to_four_to_one(pools: Pools) -> None:
    """One at a time, as they become free, over 210 permits."""
    known(pools, everybody=Limits(9, 5))
    total = Counter[int]()
    for turn in range(210):
        given, _ = pools.lease(f"t{turn}", {"email": PLENTY, "tiktok": PLENTY}, lease_s=5)
        if turn == 0:
            assert sum(map(sum, given.values())) == 9
        total.update({band: sum(g[band] for g in given.values()) for band in range(3)})
        mine = [(pool, n) for pool, bands in given.items() for n in bands]
        pools.end([(pool, f"t{turn}", False) for pool, n in mine for _ in range(n)])

    assert total[0] / total[1] == pytest.approx(4, rel=0.05)
    assert total[1] / total[2] == pytest.approx(4, rel=0.1)


def test_the_last_tenth_is_for_high_alone(pools: Pools) -> None:
    known(pools, email=Limits(50, 5))

    given, _ = pools.lease("low", {"email": [0, 0, 100]}, lease_s=5)
    assert given == {"email": [0, 0, 45]}
    given, _ = pools.lease("high", {"email": [100, 0, 100]}, lease_s=5)
    assert given == {"email": [5, 0, 0]}


def test_hammers_on_many_accounts_never_pass_what_they_share(lean: Settings) -> None:
    limiter = RedisLimiter(connect(lean), namespace="test", pools=("email",))
    total = Limits(20, 1)
    limiter.share({"email": total})
    limiter.restore("first", [], {})
    limiter.epoch = "first"
    own = Limits(6, 0.5, "email")
    parcels = [Parcel("c", f"m{i}", f"a{i % 40}", "medium", i) for i in range(600)]
    limiter.enqueue(parcels, {p.account_id: own for p in parcels})
    deadline = time.monotonic() + seconds(6)
    with ThreadPoolExecutor(6) as pool:
        logs = list(pool.map(lambda seed: _hammer(limiter, seed, deadline), range(6)))

    arrivals = sorted(at for log in logs for at in log)
    assert max(_held(arrivals, i, 1.0) for i in range(len(arrivals))) <= 20
    assert len(arrivals) >= 6 * seconds(6)


def _hammer(limiter: RedisLimiter, seed: int, deadline: float) -> list[float]:
    log: list[float] = []
    while time.monotonic() < deadline:
        settlements = []
        for grant in limiter.claim(16, lease_s=0.4).grants:
            fate = (seed * 7 + len(log) * 13) % 20
            if fate != 1:
                log.append(time.monotonic())
                permit = Permit.HELD if fate == 0 else Permit.SPENT
                settlements.append(Settlement(grant, permit))
            else:
                settlements.append(Settlement(grant, Permit.UNUSED, requeue_s=0))
        time.sleep(0.003 * (1 + len(log) % 9))
        limiter.commit(settlements)
    return log


def _held(arrivals: list[float], start: int, window: float) -> int:
    return sum(1 for at in arrivals[start:] if at < arrivals[start] + window)

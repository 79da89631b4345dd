"""Six senders at once never let more through than the limit."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from effort import seconds
from limiters import Rows, over_redis

from huntaze_pipeline.delivery.limiter import Limiter, Limits, Parcel, Permit, Settlement
from huntaze_pipeline.local.simulator.judge import fullest


@pytest.mark.parametrize(("keeper", "least"), [("redis", 50), ("books", 25)])
def test_it_never_lets_more_through_than_the_limit(
    request: pytest.FixtureRequest, keeper: str, least: int
) -> None:
    limiter = (
        over_redis(request.getfixturevalue("lean"))
        if keeper == "redis"
        else Rows(request.getfixturevalue("store"))
    )
    hammers = 6
    limit = Limits(10, 0.5)
    parcels = [Parcel("c", f"m{i}", f"a{i % 4}", "medium", i) for i in range(400)]
    limiter.enqueue(parcels, {f"a{i}": limit for i in range(4)})
    deadline = time.monotonic() + seconds(3)
    with ThreadPoolExecutor(hammers) as pool:
        logs = list(pool.map(lambda seed: _hammer(limiter, seed, deadline), range(hammers)))

    arrivals = sorted(entry for log in logs for entry in log)
    worst = max(fullest((t for t, a in arrivals if a == f"a{i}"), 0.5) for i in range(4))
    assert worst <= 10
    assert len(arrivals) >= least * seconds(3)
    assert max(Counter(arrivals).values()) == 1


def _hammer(limiter: Limiter, seed: int, deadline: float) -> list[tuple[float, str]]:
    """Send with latencies, lost answers, forgotten permits and ends told late; log arrivals."""
    log, step = [], 0
    while time.monotonic() < deadline:
        grants = limiter.claim(16, lease_s=0.4).grants
        time.sleep(0.002 * (1 + step % 5))
        settlements = []
        for grant in grants:
            step += 1
            log.append((time.monotonic(), grant.account_id))
            fate = (seed * 7 + step * 13) % 20
            if fate == 0:
                settlements.append(Settlement(grant, Permit.HELD))
            elif fate > 1:
                settlements.append(Settlement(grant, Permit.SPENT, ended=time.monotonic()))
        time.sleep(0.002 * (1 + step % 9))
        limiter.commit(settlements)
    return log

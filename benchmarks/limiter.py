"""Limiter speed: permits taken and settled for many accounts, against one SET per round trip.

One client, one Valkey on loopback, interleaved rounds. A decision is one permit claimed under the
exact two-phase limit (10 in any 60 s) and settled; the bare engine answers one redis-py SET per
round trip, the floor of every limiter that asks once per message. Prints one JSON line.
"""

import json
import statistics
import tempfile
import time
from pathlib import Path

from huntaze_pipeline import settings
from huntaze_pipeline.delivery.limiter import Limits, Parcel, Permit, Settlement
from huntaze_pipeline.delivery.scripts import connect
from huntaze_pipeline.delivery.shards import RedisLimiter
from huntaze_pipeline.local import stack

ROUNDS = 5
ACCOUNTS = 10_000
BUDGET = 2_000
SETS = 5_000


def decisions(limiter: RedisLimiter, number: int) -> float:
    """Claim and settle one message of every account; return decisions a second."""
    limits = dict.fromkeys((f"a{number}-{n}" for n in range(ACCOUNTS)), Limits(10, 60))
    now = int(time.time() * 1000)
    limiter.enqueue([Parcel("c", f"m-{a}", a, "medium", now) for a in limits], limits)
    done, started = 0, time.perf_counter()
    while done < ACCOUNTS:
        grants = limiter.claim(BUDGET, lease_s=30).grants
        limiter.commit([Settlement(grant, Permit.SPENT) for grant in grants])
        done += len(grants)
    return ACCOUNTS / (time.perf_counter() - started)


def sets(limiter: RedisLimiter) -> float:
    """Answer plain SETs one by one; return how many a second."""
    started = time.perf_counter()
    for number in range(SETS):
        limiter.client.set(f"bare:{number}", b"1")
    return SETS / (time.perf_counter() - started)


def main() -> None:
    """Run the rounds and print the line."""
    with tempfile.TemporaryDirectory() as home:
        loaded = settings.load()
        with stack.services(loaded, ("redis",), home=Path(home), throwaway=True) as ready:
            limiter = RedisLimiter(connect(ready))
            limiter.restore("bench", [], {})
            limiter.epoch = "bench"
            rounds = [(decisions(limiter, n), sets(limiter)) for n in range(ROUNDS)]
            limiter.client.close()
    mine, theirs = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratio = statistics.median(a / b for a, b in rounds)
    print(
        json.dumps(
            {
                "benchmark": "limiter",
                "accounts": ACCOUNTS,
                "decisions_per_second": round(mine),
                "set_per_second": round(theirs),
                "ratio": round(ratio, 1),
                "rounds": ROUNDS,
            }
        )
    )


if __name__ == "__main__":
    main()

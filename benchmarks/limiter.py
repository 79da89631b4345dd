"""Limiter: speed, the server's work, and what a platform sees, against other limiters.

    python benchmarks/limiter.py [--rivals PYTHON] [--rounds 5] [--seconds 20]

One client, one Valkey on loopback, interleaved rounds; ratios are medians of the rounds. Seconds
are of the client's and the server's processors together, so that a busy machine does not count.
Decisions are permits under the exact two-phase limit (10 in any 60 s), taken for 500 accounts a
call; ended, as many a call; then both with messages parked on queues, as the sender does. The
bare engine is one redis-py SET a round trip, and for the server's own time a SET in a pipeline of
500. The rivals (`limits` moving window, `pyrate-limiter`, `throttled-py`) decide one by one, as
they do; they run under the interpreter where they are installed, else they are left out. What the
platform sees: four processes hammer one key (10 in any 2 s) with latencies of 5 to 900 ms. Prints
one JSON line.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import _rivals
import redis

from huntaze_pipeline import settings
from huntaze_pipeline.delivery.limiter import Limits, Parcel, Permit, Settlement
from huntaze_pipeline.delivery.passes import Pass
from huntaze_pipeline.delivery.ratelimiter import RateLimiter
from huntaze_pipeline.delivery.scripts import connect
from huntaze_pipeline.delivery.shards import RedisLimiter
from huntaze_pipeline.local import stack

CALLS = 40
BATCH = 500
PARKED = 5_000
SETS = 3_000
LIMIT = Limits(10, 60)


class Rivals:
    """Other limiters, in their own process."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.names: list[str] = self.ask("names")

    def ask(self, *words: object) -> Any:
        """Give a command and wait for the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@contextmanager
def rivals(python: str, url: str) -> Iterator[Rivals]:
    """Start the rivals under an interpreter."""
    words = [python, _rivals.__file__, url]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield Rivals(process)
        finally:
            process.terminate()


def taken(limiter: RateLimiter) -> list[Pass]:
    """Take a permit of each account; return them, not ended yet."""
    passes: list[Pass] = []
    for call in range(CALLS):
        batch = [f"t{call}-{i}" for i in range(BATCH)]
        for answer in limiter.decide(dict.fromkeys(batch, 1)).values():
            passes += answer.passes
    return passes


def ended(limiter: RateLimiter, passes: list[Pass]) -> None:
    """End permits, as many a call as were taken."""
    for start in range(0, len(passes), BATCH):
        limiter.commit(passes[start : start + BATCH])


def park(limiter: RedisLimiter, number: int) -> None:
    """Put one message of every account on its queue."""
    limits = dict.fromkeys((f"p{number}-{n}" for n in range(PARKED)), LIMIT)
    now = int(time.time() * 1000)
    limiter.enqueue([Parcel("c", f"m-{a}", a, "medium", now) for a in limits], limits)


def claimed(limiter: RedisLimiter) -> None:
    """Claim and settle one message of every account."""
    done = 0
    while done < PARKED:
        grants = limiter.claim(2_000, lease_s=30).grants
        limiter.commit([Settlement(grant, Permit.SPENT) for grant in grants])
        done += len(grants)


def sets(client: redis.Redis) -> None:
    """Answer plain SETs one by one."""
    for number in range(SETS):
        client.set(f"bare:{number}", b"1")


def piped(client: redis.Redis) -> None:
    """Send as many SETs as there are decisions, in pipelines."""
    for call in range(CALLS):
        pipe = client.pipeline(transaction=False)
        for number in range(BATCH):
            pipe.set(f"bare:{call}-{number}", b"1")
        pipe.execute()


def spent(client: redis.Redis, work: Callable[[], object]) -> tuple[float, float]:
    """Return the processor seconds that client and server spent on a piece of work.

    What the work returns is the client's, when another process did it.
    """

    def used() -> float:
        usage: Any = client.info("cpu")
        return usage["used_cpu_user"] + usage["used_cpu_sys"]

    before, began = used(), time.process_time()
    elsewhere = work()
    here = time.process_time() - began
    return elsewhere if isinstance(elsewhere, float) else here, used() - before


def ours(url: str, count: int, window_s: int) -> _rivals.Ask:
    """Return our limiter in the shape of the others."""
    limiter = RateLimiter(
        redis.Redis.from_url(url), Limits(count, window_s), namespace="load", trust_empty=True
    )

    def ask(key: str) -> Callable[[], object] | None:
        passes = limiter.decide({key: 1})[key].passes
        return (lambda: limiter.commit(passes)) if passes else None

    return ask


def measure(ready: settings.Settings, cost: Rivals, rounds: int, seconds: float) -> dict[str, Any]:
    """Run the rounds."""
    assert ready.redis_url is not None
    url = ready.redis_url.get_secret_value()
    client = connect(ready, timeout_s=60)
    library = RateLimiter(connect(ready, timeout_s=60), LIMIT, namespace="lib", trust_empty=True)
    queues = RedisLimiter(connect(ready, timeout_s=60), namespace="queues")
    queues.restore("bench", [], {})
    queues.epoch = "bench"
    costs: dict[str, list[float]] = defaultdict(list)
    server: dict[str, list[float]] = defaultdict(list)

    def note(name: str, number: int, work: Callable[[], object]) -> None:
        mine, its = spent(client, work)
        costs[name].append((mine + its) / number)
        server[name].append(its / number)

    ended(library, taken(library))  # the accounts are known from here on
    for n in range(rounds):
        park(queues, n)
        passes: list[Pass] = []
        note("taken", CALLS * BATCH, lambda passes=passes: passes.extend(taken(library)))
        note("ended", CALLS * BATCH, lambda passes=passes: ended(library, passes))
        note("from_queues", PARKED, lambda: claimed(queues))
        note("set", SETS, lambda: sets(client))
        note("piped_set", CALLS * BATCH, lambda: piped(client))
        for name in cost.names:
            note(name, SETS, lambda name=name: cost.ask("speed", name, SETS))

    def times(kept: dict[str, list[float]], mine: str, other: str) -> float | None:
        if other not in kept:
            return None
        return round(
            statistics.median(b / a for a, b in zip(kept[mine], kept[other], strict=True)), 2
        )

    seen = {"huntaze": _rivals.load(lambda: ours(url, 10, 2), 2, seconds)}
    seen |= {name: tuple(cost.ask("load", name, 10, 2, seconds)) for name in cost.names}
    return {
        "per_second": {name: round(1 / statistics.median(cost)) for name, cost in costs.items()},
        "times_limits": times(costs, "taken", "limits"),
        "times_set": times(costs, "taken", "set"),
        "server_time_of_piped_set": times(server, "taken", "piped_set"),
        "server_time_of_piped_set_to_end": times(server, "ended", "piped_set"),
        "most_in_any_window": {name: most for name, (most, _) in seen.items()},
        "calls": {name: calls for name, (_, calls) in seen.items()},
        "not_installed": [name for name in _rivals.RIVALS if name not in cost.names],
    }


def main() -> None:
    """Start a server, run the rounds and print the line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rivals", default=sys.executable, help="where they are installed")
    parser.add_argument("--rounds", type=int, default=5, help="nine at most")
    parser.add_argument("--seconds", type=float, default=20, help="of each load")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        loaded = settings.load()
        with stack.services(loaded, ("redis",), home=Path(home), throwaway=True) as ready:
            assert ready.redis_url is not None
            with rivals(options.rivals, ready.redis_url.get_secret_value()) as found:
                figures = measure(ready, found, options.rounds, options.seconds)
    print(json.dumps({"benchmark": "limiter", "rounds": options.rounds} | figures))


if __name__ == "__main__":
    main()

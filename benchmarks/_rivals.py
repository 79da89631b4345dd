"""Other limiters under the same work; a program of its own, for they need not be installed here.

    python _rivals.py REDIS_URL          reads commands, answers one JSON line each

`names`: which are installed. `speed NAME N`: N decisions of fresh keys, one after the other, as
seconds of this process. `load NAME COUNT WINDOW_S SECONDS`: several processes hammer one key and
call a pretended platform; the most arrivals in any window, and how many in all.
"""

import json
import multiprocessing
import os
import random
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

PROCESSES = 4
Ask = Callable[[str], Callable[[], object] | None]
"""Asks for one call of a key; returns what to do when the call has ended, or None: not now."""


def _limits(url: str, count: int, window_s: int) -> Ask:
    from limits import RateLimitItemPerSecond, storage, strategies

    limiter = strategies.MovingWindowRateLimiter(storage.RedisStorage(url))
    item = RateLimitItemPerSecond(count, window_s)
    return lambda key: (lambda: None) if limiter.hit(item, key) else None


def _pyrate(url: str, count: int, window_s: int) -> Ask:
    import redis
    from pyrate_limiter import Limiter, Rate, RedisBucket

    client = redis.Redis.from_url(url)
    made: dict[str, Any] = {}

    def ask(key: str) -> Callable[[], object] | None:
        if key not in made:
            made[key] = Limiter(RedisBucket.init([Rate(count, window_s * 1000)], client, key))
        return (lambda: None) if made[key].try_acquire(key, blocking=False) else None

    return ask


def _throttled(url: str, count: int, window_s: int) -> Ask:
    import throttled

    quota = throttled.rate_limiter.per_duration(timedelta(seconds=window_s), count)
    store = throttled.RedisStore(server=url)
    limiter = throttled.Throttled(using="sliding_window", quota=quota, store=store)
    return lambda key: None if limiter.limit(key).limited else (lambda: None)


RIVALS = {"limits": _limits, "pyrate-limiter": _pyrate, "throttled-py": _throttled}


def _hammer(make: Callable[[], Ask], seed: int, ends: float, told: Any) -> None:
    ask, arrivals, chance = make(), [], random.Random(seed)
    while time.monotonic() < ends:
        done = ask("one")
        if done is None:
            time.sleep(0.002)
            continue
        slow = chance.random() < 0.03
        took = chance.uniform(0.1, 0.9) if slow else chance.uniform(0.005, 0.03)
        before = took * chance.random()
        time.sleep(before)
        arrivals.append(time.monotonic())
        time.sleep(took - before)
        done()
    told.put(arrivals)


def load(make: Callable[[], Ask], window_s: float, seconds: float) -> tuple[int, int]:
    """Let processes hammer one key; return the most arrivals in any window, and all."""
    context = multiprocessing.get_context("fork")
    times, ends = context.Queue(), time.monotonic() + seconds
    hammers = [
        context.Process(target=_hammer, args=(make, seed, ends, times)) for seed in range(PROCESSES)
    ]
    for process in hammers:
        process.start()
    moments = sorted(at for _ in hammers for at in times.get())
    for process in hammers:
        process.join()
    most, start = 0, 0
    for end, at in enumerate(moments):
        while moments[start] <= at - window_s:
            start += 1
        most = max(most, end - start + 1)
    return most, len(moments)


def _installed(name: str, url: str) -> bool:
    try:
        RIVALS[name](url, 10, 60)
    except ImportError:
        return False
    return True


def main() -> None:
    """Answer commands until there are none."""
    url, serial = sys.argv[1], 0
    for line in sys.stdin:
        command, *words = line.split()
        answer: Any = [name for name in RIVALS if _installed(name, url)]
        if command == "speed":
            ask, number = RIVALS[words[0]](url, 10, 60), int(words[1])
            serial += 1
            keys = [f"{os.getpid()}-{serial}-{n % (number // 5)}" for n in range(number)]
            began = time.process_time()
            for key in keys:
                ask(key)
            answer = time.process_time() - began
        elif command == "load":
            make = partial(RIVALS[words[0]], url, int(words[1]), int(words[2]))
            answer = load(make, float(words[2]), float(words[3]))
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

"""The bounded loop inside a sensor's tick (law 10): work as long as there is some, then come back.

Dagster ticks a sensor every five seconds at best. Working four of every five brings event → action
to 0.05 s typical, and no run is launched. Every piece of work must be idempotent: a tick that dies
after writing is repeated.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Drained:
    """What a tick did."""

    done: int
    rounds: int


def drain(
    work: Callable[[], int],
    *,
    seconds: float = 4.0,
    pause_s: float = 0.1,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Drained:
    """Call `work` (which returns how much it did) again and again until the time is up.

    Args:
        work: does one bounded piece and returns its size; 0 means nothing was waiting.
        seconds: how long to stay; a started piece is always finished.
        pause_s: how long to wait after finding nothing.
        monotonic: the clock of the loop.
        sleep: how the loop waits.
    """
    end = monotonic() + seconds
    done = rounds = 0
    while True:
        size = work()
        done, rounds = done + size, rounds + 1
        if monotonic() >= end:
            return Drained(done, rounds)
        if size == 0:
            sleep(min(pause_s, max(0.0, end - monotonic())))

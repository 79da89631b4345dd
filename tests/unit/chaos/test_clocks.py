"""A worker's clock is ahead by what it was put ahead, and nobody else's is."""

from datetime import timedelta
from pathlib import Path

from huntaze_pipeline.clock import system_clock
from huntaze_pipeline.local.chaos.clocks import Clocks

SECOND = timedelta(seconds=1)


def test_a_clock_is_ahead_until_it_is_set_right(tmp_path: Path) -> None:
    clocks = Clocks(tmp_path / "clocks")
    mine, other = clocks.of("sender-1"), clocks.of("sender-2")
    assert mine() - system_clock() < SECOND
    clocks.put("sender-1", 30)
    assert mine() - system_clock() > 29 * SECOND
    assert other() - system_clock() < SECOND
    clocks.right("sender-1")
    assert mine() - system_clock() < SECOND


def test_the_clock_of_a_worker_that_never_jumped_may_be_set_right(tmp_path: Path) -> None:
    clocks = Clocks(tmp_path / "clocks")
    clocks.right("sender-1")
    assert abs(clocks.of("sender-1")() - system_clock()) < SECOND

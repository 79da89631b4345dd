"""The loop of a sensor: it goes on between ticks, ends without them, and tells what went wrong."""

import time
from contextlib import contextmanager

import pytest

from huntaze_pipeline.orchestration import shift
from huntaze_pipeline.orchestration.shift import Job, Shifts


class Bench:
    """Counts what is opened and worked."""

    def __init__(self):
        self.opened = self.open = self.worked = 0
        self.said, self.error = [], None

    @contextmanager
    def held(self):
        self.opened, self.open = self.opened + 1, self.open + 1
        try:
            yield self
        finally:
            self.open -= 1

    def job(self, name="x"):
        def work(held, tell):
            def once():
                assert held is self
                error, self.error = self.error, None
                if error:
                    raise error
                self.worked += 1
                if self.worked == 1:
                    tell(f"first by {name}")
                return 0

            return once

        return Job(self.held, work)

    def tick(self, shifts, linger=5.0, seconds=0.05):
        return shifts.tick(
            "s", self.job(), self.said.append, seconds=seconds, linger=linger, pause_s=0.005
        )


def test_without_lingering_the_work_has_ended_when_the_tick_returns():
    bench = Bench()
    drained = bench.tick(Shifts(), linger=0)
    assert (bench.opened, bench.open) == (1, 0)
    assert drained.rounds == bench.worked > 1
    assert bench.said == ["first by x"]


def test_the_work_goes_on_between_two_ticks_and_is_opened_once():
    bench, shifts = Bench(), Shifts()
    before = bench.tick(shifts).rounds
    time.sleep(0.1)
    assert bench.worked > before
    after = bench.tick(shifts).rounds
    assert after > before / 2
    assert bench.opened == 1
    assert bench.said == ["first by x"]


def test_the_work_ends_when_no_further_tick_comes():
    bench, shifts = Bench(), Shifts()
    bench.tick(shifts, linger=0.05)
    end = time.monotonic() + 5
    while bench.open and time.monotonic() < end:
        time.sleep(0.01)
    assert not bench.open


def test_an_error_is_the_ticks_error_and_the_loop_begins_anew_by_itself(monkeypatch):
    monkeypatch.setattr(shift, "AGAIN_S", 0.01)
    bench, shifts = Bench(), Shifts()
    bench.error = ValueError("broken")
    with pytest.raises(ValueError, match="broken"):
        bench.tick(shifts)
    time.sleep(0.1)
    assert bench.worked, "before another tick"
    assert bench.tick(shifts).rounds
    assert bench.opened == 2


def test_an_error_without_lingering_ends_the_loop():
    bench = Bench()
    bench.error = ValueError("broken")
    with pytest.raises(ValueError, match="broken"):
        bench.tick(Shifts(), linger=0, seconds=60)
    assert (bench.opened, bench.open) == (1, 0)


def test_what_a_loop_holds_is_opened_anew_after_a_while(monkeypatch):
    monkeypatch.setattr(shift, "FRESH_S", 0.02)
    bench, shifts = Bench(), Shifts()
    assert bench.tick(shifts, seconds=0.2).rounds
    assert bench.opened > 2
    assert bench.open <= 1


def test_a_piece_of_work_that_takes_longer_than_a_tick_is_told():
    bench, shifts = Bench(), Shifts()
    slow = Job(bench.held, lambda held, tell: lambda: time.sleep(0.3) or 1)
    shifts.tick("slow", slow, bench.said.append, seconds=0.05, linger=0.01)
    assert bench.said == ["slow has been at one piece of work since it began"]


def test_a_tick_of_a_loop_that_goes_on_returns_at_once():
    bench, shifts = Bench(), Shifts()
    bench.tick(shifts)
    began = time.monotonic()
    bench.tick(shifts, seconds=5)
    assert time.monotonic() - began < 2

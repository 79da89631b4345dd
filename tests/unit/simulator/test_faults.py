"""Faults are drawn from the seed: same message, same fault, and shares are met."""

import pytest

from huntaze_pipeline.local.simulator import faults
from huntaze_pipeline.local.simulator.behaviour import Conduct, Faults, Recipients

MIXED = Faults(limited=0.1, error=0.2, reset=0.05, reset_accepted=0.05, silent_accepted=0.1)


def call(number: int, turn: int = 0, seed: str = "seed") -> faults.Call:
    return faults.Call(seed, "tiktok", f"message-{number}", turn)


def test_the_same_message_fails_the_same_way_every_time() -> None:
    once = [faults.fault(MIXED, call(n)) for n in range(200)]
    assert once == [faults.fault(MIXED, call(n)) for n in range(200)]
    assert once != [faults.fault(MIXED, call(n, seed="other")) for n in range(200)]


@pytest.mark.parametrize(("name", "share"), [("error", 0.2), ("limited", 0.1), (None, 0.5)])
def test_the_shares_are_met(name: str | None, share: float) -> None:
    drawn = [faults.fault(MIXED, call(n)) for n in range(4000)]
    assert drawn.count(name) / 4000 == pytest.approx(share, abs=0.03)


def test_a_message_that_comes_again_has_its_own_chance() -> None:
    half = Faults(error=0.5)
    turns = [faults.fault(half, call(1, turn)) for turn in range(40)]
    assert set(turns) == {"error", None}


def test_no_shares_means_no_faults() -> None:
    assert {faults.fault(Faults(), call(n)) for n in range(100)} == {None}


def test_latency_has_its_median_and_its_tail() -> None:
    slow = Faults(median_s=0.1, tail_share=0.1, tail_s=9)
    drawn = sorted(faults.latency(slow, call(n)) for n in range(2000))
    assert drawn[900] == pytest.approx(0.1, rel=0.1)
    assert drawn.count(9) / 2000 == pytest.approx(0.1, abs=0.03)


def test_recipients_are_refused_by_name_and_by_share() -> None:
    known = Conduct(recipients=Recipients(blocked=("fan-1",), invalid_share=0.25))
    assert faults.refusal(Conduct(), "seed", "fan-1") is None
    why = [faults.refusal(known, "seed", f"fan-{n}") for n in range(1, 2001)]
    assert why[0] in ("blocked", "invalid")
    assert why.count("invalid") / 2000 == pytest.approx(0.25, abs=0.04)

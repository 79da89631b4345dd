"""The breaker that senders share, on a real Redis."""

import time
from collections.abc import Callable

import pytest

from huntaze_pipeline.delivery.breaker import Admission, Breaker, Tuning
from huntaze_pipeline.delivery.scripts import connect
from huntaze_pipeline.settings import Settings

TUNING = Tuning(minimum=10, share=0.5, open_s=0.2, probes=2, probe_s=0.2, most_s=0.6)


@pytest.fixture
def breaker(lean: Settings) -> Callable[[str], Breaker]:
    return lambda worker: Breaker(connect(lean), worker, TUNING)


def admitted(breaker: Breaker, wanted: int = 10) -> int:
    return breaker.admit({"p": wanted})["p"].calls


def test_a_closed_breaker_admits_everything(breaker: Callable[[str], Breaker]) -> None:
    assert breaker("a").admit({"p": 7, "q": 3}) == {"p": Admission(7, 0), "q": Admission(3, 0)}


def test_it_opens_on_the_share_of_failures_once_there_are_enough(
    breaker: Callable[[str], Breaker],
) -> None:
    one = breaker("a")
    one.admit({"p": 1})

    assert one.report({"p": (0, 9)}) == {"p": "closed"}
    assert one.report({"p": (0, 1)}) == {"p": "open"}
    found = one.admit({"p": 5})["p"]
    assert found.calls == 0
    assert 0 < found.rest_s <= 0.2
    assert admitted(breaker("b")) == 0


def test_few_failures_among_many_successes_change_nothing(
    breaker: Callable[[str], Breaker],
) -> None:
    assert breaker("a").report({"p": (30, 20)}) == {"p": "closed"}


def test_one_sick_sender_does_not_close_a_platform_for_the_others(
    breaker: Callable[[str], Breaker],
) -> None:
    sick, well = breaker("sick"), breaker("well")
    for one in (sick, well):
        one.admit({"p": 1})

    assert sick.report({"p": (0, 50)}) == {"p": "closed"}
    assert well.report({"p": (0, 1)}) == {"p": "open"}


def test_half_open_hands_out_a_few_probes_and_their_success_closes_it(
    breaker: Callable[[str], Breaker],
) -> None:
    one = breaker("a")
    one.report({"p": (0, 10)})
    time.sleep(0.25)

    assert (admitted(one), admitted(one)) == (2, 0)
    assert one.report({"p": (1, 0)}) == {"p": "half"}
    assert one.report({"p": (1, 0)}) == {"p": "closed"}
    assert admitted(one) == 10


def test_a_probe_whose_sender_died_makes_room_when_its_time_is_up(
    breaker: Callable[[str], Breaker],
) -> None:
    one = breaker("a")
    one.report({"p": (0, 10)})
    time.sleep(0.25)
    admitted(one)
    time.sleep(0.25)

    assert admitted(breaker("b")) == 2


def test_a_failed_probe_opens_it_again_for_longer(breaker: Callable[[str], Breaker]) -> None:
    one = breaker("a")
    one.report({"p": (0, 10)})
    time.sleep(0.25)
    admitted(one)

    assert one.report({"p": (0, 1)}) == {"p": "open"}
    assert one.admit({"p": 1})["p"].rest_s > 0.3
    assert one.state("p") == "open"

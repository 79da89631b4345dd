"""The breaker that senders share: one set of promises, kept in Redis and in the books."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from huntaze_pipeline.delivery.breaker import Admission, Breaker, Tuning
from huntaze_pipeline.delivery.circuit import BooksBreaker
from huntaze_pipeline.delivery.scripts import connect


@dataclass
class Bench:
    """The breaker of a sender, by its name, and the way to let time pass."""

    make: Callable[[str, Tuning], Breaker | BooksBreaker]
    scale: float = 1.0
    """Real seconds in one second of a test: the books are slow on a busy machine."""

    def __call__(self, worker: str) -> Breaker | BooksBreaker:
        tuning = Tuning(
            minimum=10, share=0.5, open_s=0.2 * self.scale, probes=2, probe_s=0.2 * self.scale,
            most_s=0.6 * self.scale,
        )  # fmt: skip
        return self.make(worker, tuning)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds * self.scale)


@pytest.fixture(params=["redis", "books"])
def breaker(request: pytest.FixtureRequest) -> Bench:
    if request.param == "redis":
        lean = request.getfixturevalue("lean")
        return Bench(lambda worker, tuning: Breaker(connect(lean), worker, tuning))
    store = request.getfixturevalue("store")
    return Bench(lambda worker, tuning: BooksBreaker(store, worker, tuning), scale=3)


def admitted(breaker: Breaker | BooksBreaker, wanted: int = 10) -> int:
    return breaker.admit({"p": wanted})["p"].calls


def test_a_closed_breaker_admits_everything(breaker: Bench) -> None:
    assert breaker("a").admit({"p": 7, "q": 3}) == {"p": Admission(7, 0), "q": Admission(3, 0)}


def test_it_opens_on_the_share_of_failures_once_there_are_enough(
    breaker: Bench,
) -> None:
    one = breaker("a")
    one.admit({"p": 1})

    assert one.report({"p": (0, 9)}) == {"p": "closed"}
    assert one.report({"p": (0, 1)}) == {"p": "open"}
    found = one.admit({"p": 5})["p"]
    assert found.calls == 0
    assert 0 < found.rest_s <= 0.2 * breaker.scale
    assert admitted(breaker("b")) == 0


def test_few_failures_among_many_successes_change_nothing(
    breaker: Bench,
) -> None:
    assert breaker("a").report({"p": (30, 20)}) == {"p": "closed"}


def test_one_sick_sender_does_not_close_a_platform_for_the_others(
    breaker: Bench,
) -> None:
    sick, well = breaker("sick"), breaker("well")
    for one in (sick, well):
        one.admit({"p": 1})

    assert sick.report({"p": (0, 50)}) == {"p": "closed"}
    assert well.report({"p": (0, 1)}) == {"p": "open"}


def test_half_open_hands_out_a_few_probes_and_their_success_closes_it(
    breaker: Bench,
) -> None:
    one = breaker("a")
    one.report({"p": (0, 10)})
    breaker.sleep(0.25)

    assert (admitted(one), admitted(one)) == (2, 0)
    assert one.report({"p": (1, 0)}) == {"p": "half"}
    assert one.report({"p": (1, 0)}) == {"p": "closed"}
    assert admitted(one) == 10


def test_a_probe_whose_sender_died_makes_room_when_its_time_is_up(
    breaker: Bench,
) -> None:
    one = breaker("a")
    one.report({"p": (0, 10)})
    breaker.sleep(0.25)
    admitted(one)
    breaker.sleep(0.25)

    assert admitted(breaker("b")) == 2


def test_a_failed_probe_opens_it_again_for_longer(breaker: Bench) -> None:
    one = breaker("a")
    one.report({"p": (0, 10)})
    breaker.sleep(0.25)
    admitted(one)

    assert one.report({"p": (0, 1)}) == {"p": "open"}
    assert one.admit({"p": 1})["p"].rest_s > 0.3 * breaker.scale
    assert one.state("p") == "open"


def test_a_failure_of_long_ago_does_not_open_it(breaker: Bench) -> None:
    one = breaker("a")
    short = breaker.make("a", Tuning(minimum=10, bucket_s=0.1 * breaker.scale, buckets=2))
    short.report({"p": (0, 9)})
    breaker.sleep(0.4)

    assert short.report({"p": (0, 5)}) == {"p": "closed"}
    assert admitted(one) == 10

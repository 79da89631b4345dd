"""An account in one sentence, as it stands with Redis, without it, and under a pause."""

from dataclasses import replace

import pytest

from huntaze_pipeline.delivery.glance import Glance
from huntaze_pipeline.delivery.limiter import Limits, View

IDLE = View(Limits(10, 60), 0, 0, 0, 0.0, None, 0.0)


@pytest.mark.parametrize(
    ("view", "told"),
    [
        (replace(IDLE, limits=None), "a: nothing was ever queued for it"),
        (IDLE, "a: 0 of 10 in 60 s, 0 in flight, 0 waiting, a slot is free"),
        (
            replace(IDLE, calls_in_window=10, slot_s=4.25),
            "a: 10 of 10 in 60 s, 0 in flight, 0 waiting, a slot is free in 4.2 s",
        ),
        (
            replace(IDLE, waiting=3, blocked_s=9, next_s=9, in_flight=1),
            "a: 0 of 10 in 60 s, 1 in flight, 3 waiting, rests 9.0 s, next in 9.0 s",
        ),
    ],
)
def test_an_account_is_told_in_a_sentence(view: View, told: str) -> None:
    assert str(Glance("a", view, [], books=False)) == told


def test_pauses_and_the_books_are_told_last() -> None:
    told = str(Glance("a", replace(IDLE, limits=None), ["all paused", "drained"], books=True))
    assert told == (
        "a: nothing was ever queued for it (all paused, drained); the books do the limiting"
    )


def test_machines_get_the_view_with_its_pauses() -> None:
    plain = Glance("a", IDLE, ["all paused"], books=True).plain
    assert (plain["limits"]["count"], plain["paused"], plain["books"]) == (
        10, ["all paused"], True
    )  # fmt: skip

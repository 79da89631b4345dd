"""When the last message has gone: a closed form, held against the same thing step by step."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huntaze_pipeline.campaigns.eta import LATENCY_S, Line, about, seconds, sentence, total


def line(due, count=10, window=60.0, used=0, name="a"):
    return Line(name, count, window, due, used)


def stepwise(due, count, window):
    """Let one message after the other go as soon as its permit is free again."""
    waiting = sorted(start for start, number in due.items() for _ in range(number))
    gone = []
    for k, start in enumerate(waiting):
        free = gone[k - count] + window + LATENCY_S if k >= count else 0.0
        gone.append(max(start, free))
    return gone[-1] + LATENCY_S if gone else 0.0


@given(
    st.dictionaries(st.integers(0, 500).map(float), st.integers(1, 40), max_size=8),
    st.integers(1, 12),
    st.sampled_from([1.0, 60.0, 3600.0]),
)
def test_the_closed_form_is_what_going_step_by_step_comes_to(due, count, window):
    expected = stepwise(due, count, window)
    assert seconds(line(due, count, window)) == pytest.approx(expected)


def test_twelve_hundred_on_fifty_accounts_are_out_in_about_three_minutes():
    lines = [line({0.0: 24}, name=str(i)) for i in range(50)]
    told = "1,200 messages on 50 accounts at 10 a minute: about 3 min"
    assert sentence(lines) == told


def test_the_slowest_account_decides_and_lines_go_side_by_side():
    assert total([line({0.0: 5}), line({0.0: 21})]) == seconds(line({0.0: 21}))
    assert total([]) == 0.0


def test_calls_of_the_last_window_are_in_the_way_only_of_what_goes_soon():
    assert seconds(line({0.0: 1}, used=10)) == pytest.approx(60 + 2 * LATENCY_S)
    assert seconds(line({0.0: 1}, used=9)) == LATENCY_S
    assert seconds(line({90.0: 1}, used=10)) == 90 + LATENCY_S


def test_different_limits_are_told_as_a_range_and_one_is_not_many():
    lines = [line({0.0: 1}), line({0.0: 1}, count=30, name="b")]
    assert sentence(lines) == "2 messages on 2 accounts at 10 to 30 a minute: about 1 s"
    assert sentence([line({0.0: 1})]).startswith("1 message on 1 account at 10 a minute")
    assert sentence([]) == "nothing waits"


@pytest.mark.parametrize(
    ("duration", "told"),
    [(0.5, "about 1 s"), (89.0, "about 89 s"), (90.1, "about 2 min"), (5400, "about 1 h 30 min"),
     (3600 * 47, "about 47 h"), (86_400 * 3, "about 3 days"), (30_000, "about 8 h 20 min"),
     (86_400 * 3 + 1, "about 3 days 1 h")],
)  # fmt: skip
def test_a_duration_is_told_as_a_person_says_it(duration, told):
    assert about(duration) == told

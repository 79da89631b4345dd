import json
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huntaze_pipeline.errors import Problems
from huntaze_pipeline.measurement.decision import STOPPED, decide
from huntaze_pipeline.measurement.evidence import Arm
from huntaze_pipeline.measurement.plan import Plan

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
PLANNED = Plan(experiment_id="e", started_at=START, planned_n=40_000)
STRICT = replace(PLANNED, guardrail_margin=0.005)
OPEN = replace(PLANNED, planned_n=None)


def arms(n, *rates, **more):
    return [
        Arm(id=f"v{i}", assigned=n, n=n, sum=round(n * rate), **more)
        for i, rate in enumerate(rates)
    ]


def at(hours):
    return START + timedelta(hours=hours)


def run(plan, *looks):
    """Look again and again; returns the history without repeats."""
    history = []
    for hours, counts in looks:
        look = decide(counts, plan, history, at(hours))
        if not history or look != history[-1]:
            history.append(look)
    return history


def test_a_step_is_taken_once_and_running_the_hour_again_changes_nothing():
    first = decide(arms(5000, 0.05, 0.051), PLANNED, [], at(30))
    again = decide(arms(5400, 0.05, 0.09), PLANNED, [first], at(31))
    assert again is first
    assert (first.step, first.state) == (5, "running")
    assert decide(arms(6000, 0.05, 0.09), PLANNED, [first], at(32)).step == 6


def test_the_same_counts_plan_and_history_give_the_same_look():
    looks = [decide(arms(9000, 0.05, 0.06), PLANNED, [], at(30)) for _ in range(2)]
    assert looks[0] == looks[1]
    json.dumps(asdict(looks[0]), default=str, allow_nan=False)


def test_a_clear_winner_is_found_before_the_end():
    look = decide(arms(10_000, 0.05, 0.065), PLANNED, [], at(30))
    assert (look.state, look.winner, look.fallback) == ("winner", "v1", None)
    assert look.result["bound"] == pytest.approx(3.0244, abs=1e-4)


def test_a_closed_decision_never_changes():
    won = decide(arms(10_000, 0.05, 0.065), PLANNED, [], at(30))
    assert decide(arms(20_000, 0.08, 0.05), PLANNED, [won], at(90)) is won


def test_nothing_is_decided_on_the_first_day():
    look = decide(arms(10_000, 0.05, 0.09), PLANNED, [], at(20))
    assert (look.state, look.step) == ("running", 0)
    full = decide(arms(20_000, 0.05, 0.09), PLANNED, [look], at(20))
    assert full is look


def test_arms_without_matured_recipients_are_maturing():
    look = decide([Arm(id=x, assigned=500, n=0, sum=0) for x in "ab"], PLANNED, [], at(30))
    assert look.state == "maturing"


def test_the_end_without_a_winner_falls_back_and_says_so():
    look = decide(arms(20_000, 0.05, 0.0505), PLANNED, [], at(30))
    assert (look.state, look.winner, look.fallback) == ("no_winner", None, "v0")
    highest = replace(PLANNED, fallback="highest")
    assert decide(arms(20_000, 0.05, 0.0505), highest, [], at(30)).fallback == "v1"


def test_the_last_look_spends_the_alpha_that_is_left():
    # z = 2.05: too little for the 20-step table (2.12), enough for a single look at the end.
    counts = arms(20_000, 0.05, 0.05455)
    assert decide(counts, PLANNED, [], at(30)).state == "winner"
    every = run(PLANNED, *((24 + k, arms(1000 * k, 0.05, 0.0501)) for k in range(1, 20)))
    assert decide(counts, PLANNED, every, at(60)).state == "no_winner"


def test_the_date_ends_a_test_that_never_filled():
    plan = replace(PLANNED, ends_at=at(72))
    look = decide(arms(5000, 0.05, 0.07), plan, [], at(72))
    assert (look.state, look.step) == ("winner", 20)
    assert look.result["information"] == 0.25
    few = decide(arms(200, 0.05, 0.07), plan, [], at(72))
    assert (few.state, few.fallback) == ("insufficient_data", "v0")


def test_a_wrong_split_stops_the_test_at_once():
    counts = [Arm(id="a", assigned=6000, n=100, sum=5), Arm(id="b", assigned=5000, n=90, sum=5)]
    for plan, step in ((PLANNED, STOPPED), (OPEN, 3)):
        look = decide(counts, plan, [], at(3))
        assert (look.state, look.step, look.fallback) == ("invalid_srm", step, "a")


def test_certain_harm_stops_the_test_at_once():
    counts = arms(3000, 0.05, 0.07)
    harmful = [replace(counts[0], bad=3), replace(counts[1], bad=120)]
    look = decide(harmful, PLANNED, [], at(3))
    assert (look.state, look.winner) == ("stopped_by_guardrail", None)


def test_one_unsubscribe_stops_no_test():
    counts = [
        Arm(id="a", assigned=600, n=400, sum=0, bad=0),
        Arm(id="b", assigned=600, n=1, sum=0, bad=1),
    ]
    for plan in (PLANNED, OPEN):
        look = decide(counts, plan, [], at(2))
        assert (look.state, look.closed) == ("running", False)


def test_a_winner_without_a_bad_event_must_be_large_enough_to_exclude_harm():
    plan = replace(PLANNED, planned_n=300)
    assert decide(arms(150, 0.2, 0.6, bad=0), plan, [], at(30)).state == "stopped_by_guardrail"
    enough = decide(arms(400, 0.2, 0.6, bad=0), replace(plan, planned_n=800), [], at(30))
    assert (enough.state, enough.winner) == ("winner", "v1")
    assert decide(arms(150, 0.2, 0.6, bad=0), OPEN, [], at(30)).state == "running"


def test_arms_in_which_nearly_everybody_converts_need_recipients_who_do_not():
    # 30 of 30 against 27 of 30 is no sign of anything, though 25 conversions are there.
    plan = replace(OPEN, recipients=0, method="always_valid")
    look = decide(arms(30, 0.9, 1.0), plan, [], at(30))
    assert look.state == "running"
    assert (look.result["pairs"][0]["low"], look.result["pairs"][0]["e"]) == (None, None)


def test_possible_harm_delays_a_winner_and_blocks_it_at_the_end():
    won = arms(10_000, 0.05, 0.07)
    doubtful = [replace(won[0], bad=20), replace(won[1], bad=50)]
    first = decide(doubtful, STRICT, [], at(30))
    assert (first.state, first.winner) == ("running", None)
    last = [replace(a, n=20_000, assigned=20_000, sum=2 * a.sum, bad=2 * a.bad) for a in doubtful]
    assert decide(last, STRICT, [first], at(60)).state == "winner"
    worse = [last[0], replace(last[1], bad=125)]
    assert decide(worse, STRICT, [first], at(60)).state == "stopped_by_guardrail"


def test_a_winner_must_beat_every_other_arm():
    assert decide(arms(10_000, 0.05, 0.065, 0.0648), PLANNED, [], at(30)).state == "running"
    assert decide(arms(10_000, 0.05, 0.065, 0.051), PLANNED, [], at(30)).winner == "v1"


def test_equal_arms_end_early_when_differences_do_not_matter():
    plan = replace(PLANNED, planned_n=400_000, margin=0.01)
    look = decide(arms(150_000, 0.05, 0.0502), plan, [], at(30))
    assert (look.state, look.fallback) == ("no_difference", "v0")


def test_arms_that_may_differ_by_more_than_the_margin_are_not_called_equal():
    plan = replace(PLANNED, planned_n=400_000, margin=0.001)
    assert decide(arms(150_000, 0.05, 0.0502), plan, [], at(30)).state == "running"


def test_open_ended_tests_look_once_an_hour_and_remember_the_best_evidence():
    history = run(OPEN, (30, arms(5000, 0.05, 0.063)), (30.5, arms(5100, 0.05, 0.09)),
                  (31, arms(6000, 0.05, 0.0505)))  # fmt: skip
    assert [look.step for look in history] == [30, 31]
    first, second = (look.result["pairs"][0] for look in history)
    assert second["e"] == first["e"]
    assert second["low"] >= first["low"]


def test_rare_outcomes_in_unequal_arms_get_the_exact_process():
    counts = [
        Arm(id="a", assigned=90_000, n=90_000, sum=270, weight=0.9),
        Arm(id="b", assigned=10_000, n=10_000, sum=60, weight=0.1),
    ]
    look = decide(counts, OPEN, [], at(30))
    assert look.result["method"] == "exact"
    assert (look.state, look.winner) == ("winner", "b")
    assert look.result["pairs"][0]["low"] > 0


def test_a_changed_split_cannot_look_like_an_effect():
    # Same rates in both arms; the rate fell when the split changed.
    counts = [
        Arm(id="a", assigned=9000, n=9000, sum=900, weight=0.9, epoch=0),
        Arm(id="b", assigned=1000, n=1000, sum=100, weight=0.1, epoch=0),
        Arm(id="a", assigned=1000, n=1000, sum=20, weight=0.1, epoch=1),
        Arm(id="b", assigned=9000, n=9000, sum=180, weight=0.9, epoch=1),
    ]
    look = decide(counts, replace(PLANNED, planned_n=20_000), [], at(30))
    assert look.state == "no_winner"
    assert look.result["pairs"][0]["estimate"] == pytest.approx(0)


def test_amounts_are_decided_on_the_absolute_difference():
    counts = [
        Arm(id="a", assigned=9000, n=9000, sum=9000.0, squares=900_000.0),
        Arm(id="b", assigned=9000, n=9000, sum=14_000.0, squares=950_000.0),
    ]
    assert decide(counts, PLANNED, [], at(30)).winner == "b"


def test_counts_that_cannot_be_are_all_named():
    wrong = [Arm(id="a", assigned=5, n=10, sum=3), Arm(id="b", assigned=10, n=10, sum=30)]
    with pytest.raises(Problems) as caught:
        decide(wrong, PLANNED, [], at(30))
    assert [p.where for p in caught.value.problems] == [
        "experiment e, variant a",
        "experiment e, variant b",
    ]
    with pytest.raises(Problems, match="at least two variants"):
        decide([wrong[0]], PLANNED, [], at(30))


COUNT = st.integers(0, 3000).flatmap(
    lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(0, n), st.integers(0, 2000))
)


@settings(deadline=None)
@given(st.lists(COUNT, min_size=2, max_size=4), st.sampled_from([PLANNED, OPEN]), st.floats(0, 99))
def test_any_counts_give_a_look_that_json_can_hold(rows, plan, hours):
    counts = [
        Arm(id=str(i), assigned=n + more, n=n, sum=x, bad=y)
        for i, (n, x, y, more) in enumerate(rows)
    ]
    look = decide(counts, replace(plan, ends_at=at(60)), [], at(hours))
    json.dumps(asdict(look), default=str, allow_nan=False)
    assert (look.winner is None) == (look.state != "winner")
    assert decide(counts, plan, [look], at(hours)) is look


@pytest.mark.slow
def test_hourly_looks_at_equal_arms_name_few_winners():
    rng, false = np.random.default_rng(5), 0
    plan = replace(PLANNED, planned_n=4000, minimum=timedelta(0))
    for _ in range(200):
        paths = rng.binomial(100, 0.2, (2, 20)).cumsum(1)
        history = []
        for k in range(20):
            n = 100 * (k + 1)
            counts = [Arm(id=str(i), assigned=n, n=n, sum=int(paths[i, k])) for i in (0, 1)]
            history.append(decide(counts, plan, history, at(k + 1)))
        false += history[-1].state == "winner"
    assert false <= 20

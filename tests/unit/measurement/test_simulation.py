"""Rates measured with 20,000 simulations; here fewer, with room for their noise."""

import pytest

from huntaze_pipeline.errors import Problems
from huntaze_pipeline.measurement.simulation import Scenario, simulate


def winners(scenario):
    return {outcome.rule: outcome.winners for outcome in simulate(scenario)}


def test_peeking_makes_false_winners_and_the_right_rules_do_not():
    found = winners(Scenario(runs=4000))
    assert found["fixed, every look"] == pytest.approx(0.248, abs=0.03)
    assert found["Bayes P >= 95 %, every look"] == pytest.approx(0.425, abs=0.03)
    assert found["fixed, last look only"] == pytest.approx(0.05, abs=0.015)
    assert found["group sequential (Lan-DeMets)"] == pytest.approx(0.05, abs=0.015)
    assert found["always valid"] < 0.03
    assert found["exact e-process"] < 0.03


def test_twenty_steps_keep_most_of_the_power_of_one_look():
    found = winners(Scenario(lift=0.1, n=30_000, runs=3000))
    assert found["fixed, last look only"] == pytest.approx(0.788, abs=0.03)
    assert found["group sequential (Lan-DeMets)"] == pytest.approx(0.771, abs=0.03)
    assert found["always valid"] == pytest.approx(0.404, abs=0.04)


def test_a_faster_arm_looks_like_a_better_one_until_everyone_matured():
    found = winners(Scenario(rate=0.02, delay=(1 / 3, 1 / 6), looks=72, runs=600))
    assert found["always valid"] > 0.5
    assert found["matured only, one test at the window's end"] < 0.09


def test_a_small_arm_with_rare_conversions_needs_a_minimum():
    found = winners(Scenario(rate=0.003, share=0.1, looks=50, runs=1500))
    assert found["always valid"] > 0.15
    assert found["always valid, >= 25 conversions"] < 0.03
    assert found["exact e-process"] < 0.03


def test_a_ratio_with_a_prior_misleads_on_skewed_amounts():
    found = winners(Scenario(rate=0.02, skew=2, runs=600))
    assert found["Bayes N(0, 0.3²) on lift, P >= 97.5 %"] > 0.3
    assert found["group sequential (Lan-DeMets)"] < 0.06


def test_early_winners_overstate_the_effect():
    outcomes = {o.rule: o for o in simulate(Scenario(lift=0.1, n=30_000, runs=2000))}
    late, early = outcomes["fixed, last look only"], outcomes["fixed, every look"]
    assert 1 < late.overstated < early.overstated
    assert early.stopped_at < late.stopped_at == 1


def test_the_same_seed_gives_the_same_table():
    scenario = Scenario(runs=200)
    assert simulate(scenario) == simulate(scenario)


def test_a_scenario_that_cannot_be_names_every_fault():
    with pytest.raises(Problems) as caught:
        simulate(Scenario(rate=0.9, lift=0.5, looks=0, skew=1, delay=(0.1, 0.1)))
    assert [problem.where for problem in caught.value.problems] == ["lift", "looks", "skew"]

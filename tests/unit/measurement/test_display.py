"""Figures for people: checked against simulation and closed forms."""

import numpy as np
import pytest

from huntaze_pipeline.measurement import display, effects, moments


def test_two_arms_chances_are_the_normals_and_add_up_to_one():
    from scipy.stats import norm

    arms = moments.binary([1000, 1200], [50, 75])
    chance = display.chances(arms, np.array([0]))
    gap = effects.absolute(arms.take(np.array([0])), arms.take(np.array([1])))
    assert chance[1] == pytest.approx(norm.cdf(gap.estimate / gap.error)[0], abs=1e-9)
    assert chance.sum() == pytest.approx(1)


def test_many_arms_chances_agree_with_simulation_block_by_block():
    rng = np.random.default_rng(1)
    n, hits = np.array([900, 1000, 1100, 500, 500, 400]), np.array([50, 60, 62, 20, 25, 30])
    arms, starts = moments.binary(n, hits), np.array([0, 3])
    chance = display.chances(arms, starts)
    draws = rng.normal(arms.mean, arms.error, (200_000, 6))
    for block in (slice(0, 3), slice(3, 6)):
        best = np.bincount(draws[:, block].argmax(axis=1), minlength=3) / len(draws)
        assert chance[block] == pytest.approx(best, abs=0.005)


def test_an_arm_without_spread_has_no_chance_to_tell():
    assert np.isnan(display.chances(moments.binary([100, 100], [0, 5]), np.array([0]))).all()


def test_a_lift_is_pulled_towards_none_the_less_sure_it_is():
    few, many = (
        effects.relative(moments.binary([n], [n // 20]), moments.binary([n], [n * 8 // 100]))
        for n in (400, 40_000)
    )
    (little, _), (much, interval) = display.shrunk(few), display.shrunk(many)
    assert 0 < little[0] < 0.3
    assert 0.5 < much[0] < 0.6
    assert interval[0][0] < much[0] < interval[1][0]

"""Known answers: GrowthBook's own tests (MIT), packages/stats/tests/frequentist/test_tests.py."""

import numpy as np
import pytest

from huntaze_pipeline.measurement import effects, fixed, moments

REVENUE_A = (3407, 1396.87, 52377.9767)
REVENUE_B = (3461, 2422.7, 134698.29)


def general(n, total, squares):
    return moments.general(n, total, squares)


@pytest.mark.parametrize(
    ("kind", "estimate", "low", "high", "error", "p_value"),
    [
        (effects.relative, 0.70732, -0.03526, 1.44989, 0.37879, 0.06191),
        (effects.absolute, 0.29, 0.04538, 0.53462, 0.12478, 0.02016),
    ],
)
def test_welch_on_amounts_gives_the_published_digits(kind, estimate, low, high, error, p_value):
    effect = kind(general(*REVENUE_A), general(*REVENUE_B))
    found = fixed.welch(effect)
    assert effect.estimate[0] == pytest.approx(estimate, abs=5e-6)
    assert effect.error[0] == pytest.approx(error, abs=5e-6)
    assert (found.low[0], found.high[0]) == pytest.approx((low, high), abs=5e-6)
    assert found.p_value[0] == pytest.approx(p_value, abs=5e-6)


def test_welch_on_rates_gives_the_published_digits():
    effect = effects.relative(moments.binary(28, 14), moments.binary(30, 16))
    found = fixed.welch(effect)
    assert effect.estimate[0] == pytest.approx(0.06667, abs=5e-6)
    assert effect.error[0] == pytest.approx(0.2717, abs=5e-6)
    assert (found.low[0], found.high[0]) == pytest.approx((-0.47767, 0.61101), abs=5e-6)
    assert found.p_value[0] == pytest.approx(0.80707, abs=5e-6)


@pytest.mark.parametrize(
    ("kind", "side", "bound", "p_value"),
    [
        (effects.relative, "greater", -0.045136675850396046, 0.06558262868467746),
        (effects.absolute, "greater", 0.020791480063255735, 0.03554272489873023),
        (effects.relative, "lesser", 1.0518588475628676, 0.9344173713153225),
    ],
)
def test_one_sided_welch_gives_the_published_digits(kind, side, bound, p_value):
    a, b = general(3000, 1396.87, 52377.9767), general(*REVENUE_B)
    found = fixed.welch(kind(a, b), side=side)
    open_end, closed = (found.high, found.low) if side == "greater" else (found.low, found.high)
    assert np.isinf(open_end[0])
    assert closed[0] == pytest.approx(bound, abs=1e-12)
    assert found.p_value[0] == pytest.approx(p_value, abs=1e-12)


def test_a_tiny_p_value_keeps_its_digits():
    found = fixed.normal(effects.absolute(moments.binary(5176, 840), moments.binary(8213, 85)))
    assert 0 < found.p_value[0] < 1e-150


def test_arms_that_do_not_vary_have_no_p_value():
    found = fixed.welch(effects.absolute(moments.binary(100, 0), moments.binary(100, 0)))
    assert np.isnan(found.p_value[0])


def test_a_baseline_of_zero_has_no_lift():
    effect = effects.relative(moments.binary(100, 0), moments.binary(100, 9))
    assert np.isnan(effect.estimate[0])


def test_fieller_agrees_with_the_delta_method_in_large_arms():
    a, b = moments.binary(10**7, 500_000), moments.binary(10**7, 520_000)
    delta = fixed.normal(effects.relative(a, b))
    low, high = fixed.fieller(a, b)
    assert (low[0], high[0]) == pytest.approx((delta.low[0], delta.high[0]), abs=1e-5)


def test_fieller_says_nothing_when_the_baseline_may_be_zero():
    low, high = fixed.fieller(moments.binary(100, 2), moments.binary(100, 9))
    assert np.isnan(low[0])
    assert np.isnan(high[0])


def test_thousands_of_tests_equal_each_alone():
    n, x = np.array([500, 900, 80]), np.array([50, 31, 7])
    together = fixed.welch(effects.absolute(moments.binary(n, x), moments.binary(n, x + 5)))
    alone = [
        fixed.welch(effects.absolute(moments.binary(i, j), moments.binary(i, j + 5))).p_value[0]
        for i, j in zip(n, x, strict=True)
    ]
    assert together.p_value.tolist() == alone

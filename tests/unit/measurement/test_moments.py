import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huntaze_pipeline.measurement import moments

VALUES = st.lists(st.floats(-1e4, 1e4).map(lambda x: round(x, 2)), min_size=2, max_size=40)


@settings(deadline=None)
@given(VALUES)
def test_sums_are_enough_for_mean_and_sample_variance(values):
    data = np.array(values)
    found = moments.general(len(data), data.sum(), (data**2).sum())
    assert found.mean[0] == pytest.approx(data.mean(), abs=1e-9)
    assert found.variance[0] == pytest.approx(data.var(ddof=1), rel=1e-6, abs=1e-4)


@settings(deadline=None)
@given(st.integers(1, 500), st.integers(0, 500))
def test_a_rate_varies_by_p_times_one_minus_p(n, extra):
    x = min(n, extra)
    found = moments.binary(n, x)
    assert found.variance[0] == pytest.approx(x / n * (1 - x / n))


def test_equal_values_have_no_variance_though_sums_are_rounded():
    found = moments.general(3, 0.1 * 3, 0.1**2 * 3)
    assert found.variance[0] == 0


def test_arms_of_both_kinds_lie_in_one_table():
    found = moments.mixed([100, 100], [10, 500.0], [np.nan, 9000.0])
    assert found.variance.tolist() == pytest.approx([0.09, (9000 - 2500) / 99])


def test_a_single_amount_has_an_unknown_variance():
    assert not np.isfinite(moments.general(1, 5.0, 25.0).error[0])


@settings(deadline=None)
@given(st.integers(-(10**6), 10**6), st.lists(st.integers(-3, 3), min_size=2, max_size=1000))
def test_whole_numbers_give_the_exact_variance_however_far_from_zero(far, values):
    whole = [far + value for value in values]
    found = moments.general(len(whole), sum(whole), sum(value**2 for value in whole))
    assert found.variance[0] == pytest.approx(statistics.variance(values), rel=1e-12)


def test_a_spread_of_a_millionth_of_the_mean_is_not_lost():
    assert moments.general(1000, 10**9, 10**15 + 999).variance[0] == 1


def test_adding_equal_amounts_one_by_one_makes_no_variance():
    values = [0.1] * 100_000
    total = squares = 0.0
    for value in values:
        total, squares = total + value, squares + value**2
    assert moments.general(len(values), total, squares).variance[0] == 0

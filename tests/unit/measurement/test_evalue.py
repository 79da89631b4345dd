import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from huntaze_pipeline.measurement import evalue


@settings(deadline=None)
@given(st.integers(1, 300), st.floats(0.05, 0.95))
def test_evidence_has_mean_one_when_arms_convert_alike(total, share):
    b = np.arange(total + 1)
    values = evalue.evalue(total - b, b, share)
    assert np.dot(values, binom.pmf(b, total, share)) == pytest.approx(1, rel=1e-8)


@settings(deadline=None)
@given(st.integers(0, 400), st.integers(0, 400), st.floats(0.1, 0.9))
def test_interval_and_evidence_agree(a, b, share):
    found = evalue.sequence(a, b, share)
    excludes = found.low[0] > 1e-9 or found.high[0] < -1e-9
    assert excludes == bool(evalue.evalue(a, b, share)[0] >= 20)


def test_the_interval_holds_the_measured_lift():
    found = evalue.sequence(500, 600, 0.5)
    assert found.low[0] < 0.2 < found.high[0]


def test_an_unequal_split_is_no_effect():
    assert evalue.evalue(900, 100, 0.1)[0] < 1
    assert evalue.evalue(900, 100, 0.5)[0] > 1e6


def test_without_conversions_nothing_is_known():
    found = evalue.sequence(0, 0)
    assert (found.low[0], found.high[0], found.p_value[0]) == (-1, np.inf, 1)


def test_fifty_looks_at_a_rare_outcome_in_a_small_arm_find_few_false_winners():
    rng = np.random.default_rng(3)
    a = rng.binomial(360, 0.003, (2000, 50)).cumsum(1)
    b = rng.binomial(40, 0.003, (2000, 50)).cumsum(1)
    e = evalue.evalue(a.ravel(), b.ravel(), 0.1).reshape(2000, 50)
    assert (e.max(1) >= 20).mean() <= 0.05

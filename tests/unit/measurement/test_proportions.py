"""Known answers: statsmodels 0.15.0 (BSD-3)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huntaze_pipeline.measurement import proportions

CASE = (870, 7314, 2784, 12681)


def test_the_pooled_z_test():
    z, p_value = proportions.pooled(*CASE)
    assert z[0] == pytest.approx(17.72763685772317, abs=1e-12)
    assert p_value[0] == pytest.approx(2.565950534590361e-70, rel=1e-10)


def test_the_pooled_z_test_of_the_textbook_example():
    z, p_value = proportions.pooled(5, 83, 12, 99)
    assert z[0] == pytest.approx(1.4078304151258787)
    assert p_value[0] == pytest.approx(0.15918129181156992)


def test_wilsons_interval_of_a_rate():
    found = [bound[0] for bound in proportions.wilson(2784, 12681)]
    assert found == pytest.approx([0.21242206321747148, 0.22682989565870243], abs=1e-14)


def test_newcombes_interval_of_a_difference():
    found = [bound[0] for bound in proportions.difference(*CASE)]
    assert found == pytest.approx([0.09016309812248624, 0.1108504030789789], abs=1e-14)


@given(st.integers(1, 300), st.integers(1, 300), st.data())
def test_the_interval_of_a_difference_holds_its_estimate(na, nb, data):
    xa, xb = data.draw(st.integers(0, na)), data.draw(st.integers(0, nb))
    low, high = proportions.difference(xa, na, xb, nb)
    assert low[0] - 1e-9 <= xb / nb - xa / na <= high[0] + 1e-9
    assert np.isfinite([low[0], high[0]]).all()

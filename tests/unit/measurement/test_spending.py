"""Known answers: Armitage 1969, Pocock 1977, O'Brien–Fleming 1979, Jennison & Turnbull 2000."""

import numpy as np
import pytest

from huntaze_pipeline.measurement import spending

STEPS_20 = [
    8.0, 6.991, 5.670, 4.878, 4.338, 3.943, 3.638, 3.394, 3.193, 3.024,
    2.880, 2.754, 2.643, 2.545, 2.457, 2.378, 2.305, 2.239, 2.179, 2.123,
]  # fmt: skip


def equal(looks):
    return (np.arange(looks) + 1) / looks


@pytest.mark.parametrize(
    ("looks", "rate"),
    [(1, 0.050), (2, 0.083), (3, 0.107), (4, 0.126), (5, 0.142), (10, 0.193), (20, 0.248),
     (50, 0.320), (100, 0.374), (168, 0.412)],
)  # fmt: skip
def test_peeking_inflates_the_false_winners_as_published(looks, rate):
    z = 1.959963984540054
    found = spending.crossing([z] * looks, equal(looks))[-1]
    assert found == pytest.approx(rate, abs=6e-4)


@pytest.mark.parametrize(("looks", "constant"), [(2, 2.178), (5, 2.413), (10, 2.555), (20, 2.672)])
def test_pococks_constants(looks, constant):
    assert spending.pocock(looks) == pytest.approx(constant, abs=6e-4)


@pytest.mark.parametrize(("looks", "constant"), [(2, 1.977), (5, 2.040), (10, 2.087), (20, 2.126)])
def test_obrien_and_flemings_constants(looks, constant):
    assert spending.obrien_fleming(looks) == pytest.approx(constant, abs=6e-4)


def test_lan_demets_boundaries_for_five_looks():
    published = [4.8769, 3.3569, 2.6803, 2.2898, 2.0310]
    assert spending.table(0.05, 5) == pytest.approx(published, abs=2e-4)


def test_lan_demets_boundaries_for_twenty_steps():
    assert spending.table() == pytest.approx(STEPS_20, abs=6e-4)


def test_pocock_type_spending_for_five_looks():
    known = [2.43798, 2.42681, 2.41019, 2.39664, 2.38598]
    assert spending.table(0.05, 5, "pocock") == pytest.approx(known, abs=1e-5)


def test_the_table_spends_exactly_alpha():
    assert spending.crossing(spending.table(), equal(20))[-1] == pytest.approx(0.05, abs=1e-9)


def test_a_drift_of_either_sign_is_found_alike():
    up, down = (spending.crossing(spending.table(), equal(20), sign * 2.8)[-1] for sign in (1, -1))
    assert up == pytest.approx(down, abs=1e-12)
    assert 0.75 < up < 0.8


def test_closing_early_spends_all_that_is_left():
    table, taken = spending.table(), [4, 9]
    bounds, times = [table[k - 1] for k in taken], [k / 20 for k in taken]
    last = spending.closing(bounds, times, 0.7, 0.05)
    assert spending.crossing([*bounds, last], [*times, 0.7])[-1] == pytest.approx(0.05, abs=1e-9)


def test_closing_without_an_earlier_look_is_one_plain_test():
    assert spending.closing([], [], 0.4, 0.05) == pytest.approx(1.959964, abs=1e-6)

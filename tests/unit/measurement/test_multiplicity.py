"""Known answers: GrowthBook's own tests (MIT), packages/shared/test/experiments.test.ts."""

import pytest

from huntaze_pipeline.measurement import multiplicity


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        ([0.01, 0.04, 0.03, 0.005, 0.55, 0.6], [0.05, 0.12, 0.12, 0.03, 1, 1]),
        ([0.025, 0.03], [0.05, 0.05]),
    ],
)
def test_holm(p_values, adjusted):
    assert multiplicity.holm(p_values).tolist() == pytest.approx(adjusted)


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        (
            [0.898, 0.138, 0.007, 0.964, 0.538, 0.006, 0.138],
            [0.964, 0.2415, 0.0245, 0.964, 0.7532, 0.0245, 0.2415],
        ),
        ([0.025, 0.03], [0.03, 0.03]),
    ],
)
def test_benjamini_and_hochberg(p_values, adjusted):
    found = multiplicity.benjamini_hochberg(p_values).tolist()
    assert found == pytest.approx(adjusted, abs=5e-5)


def test_e_values_survive_by_rank():
    assert multiplicity.e_benjamini_hochberg([100, 1, 31, 3]).tolist() == [
        True,
        False,
        False,
        False,
    ]
    assert multiplicity.e_benjamini_hochberg([100, 1, 41, 3]).tolist() == [True, False, True, False]
    assert not multiplicity.e_benjamini_hochberg([]).any()

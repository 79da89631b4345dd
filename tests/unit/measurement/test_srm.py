"""Known answers: GrowthBook's own tests (MIT), packages/back-end/test/stats.test.ts."""

import numpy as np
import pytest

from huntaze_pipeline.measurement import srm


@pytest.mark.parametrize(
    ("users", "weights", "p_value"),
    [
        ([1000, 1200], [0.5, 0.5], 0.000020079),
        ([135, 115], [0.5, 0.5], 0.205903211),
        ([310, 98], [0.75, 0.25], 0.647434186),
        ([1000], [0.5, 0.5], 1.0),
        ([1000, 900, 800], [1, 0, 0], 1.0),
        ([1000, 1200, 900], [0.5, 0.5, 0], 0.000020079),
        ([0, 0, 0], [0.34, 0.33, 0.33], 1.0),
        ([0, 10, 10], [0.34, 0.33, 0.33], 0.005790624),
        ([500, 500, 600], [0.34, 0.33, 0.33], 0.000592638),
        ([500, 500], [0.5, 0.5], 1.0),
    ],
)
def test_the_chi_squared_test_gives_the_published_digits(users, weights, p_value):
    assert srm.pvalue(users, weights) == pytest.approx(p_value, abs=5e-10)


def test_many_experiments_equal_each_alone():
    users, weights = np.array([90.0, 130, 50, 50, 80]), np.array([1.0, 1, 2, 1, 1])
    starts = np.array([0, 2])
    assert srm.pvalues(users, weights, starts).tolist() == pytest.approx(
        [srm.pvalue([90, 130], [1, 1]), srm.pvalue([50, 50, 80], [2, 1, 1])]
    )
    assert srm.evalues(users, weights, starts).tolist() == pytest.approx(
        [srm.evalue([90, 130], [1, 1]), srm.evalue([50, 50, 80], [2, 1, 1])]
    )


def test_a_right_split_never_looks_wrong_and_a_wrong_one_does():
    assert srm.evalue([5000, 5000], [1, 1]) < 1
    assert srm.evalue([5600, 5000], [1, 1]) > srm.E_LIMIT


def test_evidence_has_mean_one_when_the_split_is_right():
    counts = np.arange(201)
    from scipy.stats import binom

    values = [srm.evalue([x, 200 - x], [1, 1]) for x in counts]
    assert np.dot(values, binom.pmf(counts, 200, 0.5)) == pytest.approx(1, abs=1e-9)


def test_hourly_looks_rarely_fire_on_a_right_split():
    rng = np.random.default_rng(7)
    steps = rng.binomial(400, 0.5, (400, 168)).cumsum(1)
    total = 400 * (np.arange(168) + 1)
    flat = np.stack([steps, total - steps], -1).reshape(-1).astype(float)
    e = srm.evalues(flat, np.ones(len(flat)), np.arange(0, len(flat), 2)).reshape(400, 168)
    assert (e.max(1) >= srm.E_LIMIT).mean() <= 0.01

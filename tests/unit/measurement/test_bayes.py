"""Known answers: GrowthBook's own tests (MIT), packages/stats/tests/bayesian/test_tests.py."""

import numpy as np
import pytest

from huntaze_pipeline.measurement import bayes, effects, moments

RATES = effects.relative(moments.binary(100, 49), moments.binary(100, 51))
MEANS = effects.relative(moments.general(10, 100, 1002.25), moments.general(10, 105, 1111.5))


@pytest.mark.parametrize(
    ("effect", "prior", "mean", "interval", "deviation", "chance", "risk"),
    [
        (RATES, None, 0.04082, (-0.24779, 0.32943), 0.14725, 0.60918, (0.0814, 0.04058)),
        (MEANS, None, 0.05, (-0.02, 0.12), 0.03572, 0.91923, (0.05131, 0.00131)),
        (MEANS, bayes.Prior(0.1, 0.1), 0.05063, (-0.01893, 0.12019), 0.03549, 0.92315,
         (0.05186, 0.00123)),
    ],
)  # fmt: skip
def test_posteriors_give_the_published_digits(
    effect, prior, mean, interval, deviation, chance, risk
):
    found = bayes.posterior(effect, prior)
    low, high = found.interval()
    assert found.mean[0] == pytest.approx(mean, abs=5e-6)
    assert (low[0], high[0]) == pytest.approx(interval, abs=5e-6)
    assert found.deviation[0] == pytest.approx(deviation, abs=5e-6)
    assert found.chance_to_win[0] == pytest.approx(chance, abs=5e-6)
    assert [side[0] for side in found.risk()] == pytest.approx(risk, abs=5e-6)


@pytest.mark.parametrize(
    ("mean", "deviation", "risk"),
    [(0.1, 0.05, (0.1004245351308, 0.0004245351308414)), (0.01, 4.5e-09, (0.01, 0.0))],
)
def test_risk_is_stable_at_the_extremes(mean, deviation, risk):
    found = bayes.Posterior(np.array([mean]), np.array([deviation])).risk()
    assert [side[0] for side in found] == pytest.approx(risk, abs=1e-13)


def test_a_prior_pulls_the_lift_towards_its_mean():
    plain, shrunk = bayes.posterior(RATES), bayes.posterior(RATES, bayes.Prior(0.0, 0.01))
    assert 0 < shrunk.mean[0] < plain.mean[0]

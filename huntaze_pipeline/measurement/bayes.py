"""Bayesian figures for people to read: chance to win, shrunken lift, risk. Never used to decide.

A normal posterior on the effect. Without a prior (the default) the chance to win is the one-sided
p-value in other words, and acting on 95 % at every look finds a false winner in 42 % of tests.
"""

from dataclasses import dataclass

import numpy as np

from huntaze_pipeline.errors import Problem, Problems
from huntaze_pipeline.measurement.effects import Effect
from huntaze_pipeline.measurement.moments import Array


@dataclass(frozen=True, slots=True)
class Prior:
    """What is believed of a lift before the test: normal, in the effect's own unit."""

    mean: float = 0.0
    variance: float = 0.3**2


def belief(deviation: float | None) -> Prior | None:
    """Return the prior around no lift with this standard deviation; None for none.

    Raises:
        Problems: it is not above zero.
    """
    if deviation is None:
        return None
    if not deviation > 0:
        raise Problems([Problem("prior", f"is {deviation:g}: must be above zero")])
    return Prior(0.0, deviation**2)


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is believed of the effect after the test."""

    mean: Array
    deviation: Array

    @property
    def chance_to_win(self) -> Array:
        """Probability that b is better than a."""
        from scipy.special import ndtr

        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.deviation > 0, ndtr(self.mean / self.deviation), np.nan)

    def interval(self, alpha: float = 0.05) -> tuple[Array, Array]:
        """The central credible interval."""
        from scipy.special import ndtri

        width = -ndtri(alpha / 2) * self.deviation
        return self.mean - width, self.mean + width

    def risk(self) -> tuple[Array, Array]:
        """Expected loss of keeping a, and of switching to b, in the effect's unit."""
        from scipy.special import ndtr

        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = self.mean / self.deviation
            density = np.exp(-(ratio**2) / 2) / np.sqrt(2 * np.pi)
            keep = self.mean * ndtr(ratio) + self.deviation * density
            switch = -self.mean * ndtr(-ratio) + self.deviation * density
        return np.maximum(keep, 0), np.maximum(switch, 0)


def posterior(effect: Effect, prior: Prior | None = None) -> Posterior:
    """Combine the measured effect with the prior; no prior leaves the estimate as it is."""
    if prior is None:
        return Posterior(effect.estimate, effect.error)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = 1 / effect.variance + 1 / prior.variance
        mean = (effect.estimate / effect.variance + prior.mean / prior.variance) / precision
    known = effect.variance > 0
    deviation = np.where(known, 1 / np.sqrt(precision), 0.0)
    return Posterior(np.where(known, mean, effect.estimate), deviation)

"""The difference between two arms: absolute and relative, with its variance. No tests, no verdicts.

`a` is the baseline, `b` the challenger. The relative effect is (b - a) / |a| with the variance of
the delta method; decisions use the absolute one, whose estimate is not skewed by a noisy baseline.
"""

from dataclasses import dataclass

import numpy as np

from huntaze_pipeline.measurement.moments import Array, Moments


@dataclass(frozen=True, slots=True)
class Effect:
    """An estimate with its variance, Welch's degrees of freedom and the recipients behind it."""

    estimate: Array
    variance: Array
    freedom: Array
    n: Array
    events: Array
    """The fewest of `Moments.events` of both arms."""

    @property
    def error(self) -> Array:
        """The standard error of the estimate."""
        return np.sqrt(self.variance)


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval and the p-value of 'no effect'; NaN where neither can be had."""

    low: Array
    high: Array
    p_value: Array


def absolute(a: Moments, b: Moments) -> Effect:
    """Difference of the means, b - a."""
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = a.variance / a.n + b.variance / b.n
    return Effect(b.mean - a.mean, variance, freedom(a, b), a.n + b.n, _least(a, b))


def relative(a: Moments, b: Moments) -> Effect:
    """Lift (b - a) / |a|, above zero where b is higher; NaN where the baseline's mean is zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        base = np.where(a.mean == 0, np.nan, a.mean)
        ratio = b.mean / base
        variance = (b.variance / b.n + ratio**2 * a.variance / a.n) / base**2
    lift = (b.mean - base) / np.abs(base)
    return Effect(lift, variance, freedom(a, b), a.n + b.n, _least(a, b))


def freedom(a: Moments, b: Moments) -> Array:
    """Welch–Satterthwaite degrees of freedom; NaN where an arm has a single recipient."""
    with np.errstate(divide="ignore", invalid="ignore"):
        left, right = a.variance / a.n, b.variance / b.n
        below = _share(left, a.n) + _share(right, b.n)
        return np.where(below > 0, (left + right) ** 2 / below, np.nan)


def _least(a: Moments, b: Moments) -> Array:
    return np.minimum(a.events, b.events)


def _share(squared_error: Array, n: Array) -> Array:
    return np.where(squared_error == 0, 0.0, squared_error**2 / (n - 1))

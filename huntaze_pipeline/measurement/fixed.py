"""Tests for one look, at an end fixed beforehand: Welch t, z, Fieller. Looking twice needs others.

With K looks at p < .05 the chance of a false winner grows to 14 % (5), 25 % (20) and 41 % (168);
`spending`, `sequential` and `evalue` hold it at 5 %.
"""

from typing import Literal

import numpy as np

from huntaze_pipeline.measurement.effects import Effect, Interval
from huntaze_pipeline.measurement.moments import Array, Moments

Side = Literal["two", "greater", "lesser"]


def welch(effect: Effect, alpha: float = 0.05, side: Side = "two") -> Interval:
    """Welch's t test and interval of an effect.

    Args:
        effect: absolute or relative effect.
        alpha: error probability, of both sides together or of the one side asked for.
        side: "greater" asks whether b is better, "lesser" whether it is worse.
    """
    tail = alpha / (2 if side == "two" else 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.where(effect.error > 0, effect.estimate / effect.error, np.nan)
        width = effect.error * _student(effect.freedom, tail)
        if side == "two":
            p_value = 2 * _below(effect.freedom, -np.abs(score))
        else:
            p_value = _below(effect.freedom, -score if side == "greater" else score)
    return _sided(effect, width, p_value, side)


_MANY = 1000.0
"""Degrees of freedom from which Student's t is a short series around the normal."""


def _below(freedom: Array, score: Array) -> Array:
    """Student's distribution function.

    From `_MANY` degrees on, for scores that do not underflow, by Hill's normal deviate (1970,
    Algorithm 395, its first terms), whose error is below 1e-11 there.
    """
    from scipy.special import ndtr, stdtr

    near = freedom - 0.5
    wide = 48 * near * near
    square = near * np.log1p(score * score / freedom)
    root = np.sqrt(square)
    more = (((4 * square + 33) * square + 240) * square + 855) / (
        10 * wide * (wide + 0.8 * square * square + 100)
    )
    found = ndtr(np.copysign(root * (1 + (square + 3) / wide - more), score))
    few = ~((freedom >= _MANY) & (np.abs(score) <= 8))
    if few.any():
        found[few] = stdtr(freedom[few], score[few])
    return found


def _student(freedom: Array, tail: float) -> Array:
    """Upper quantile of Student's t.

    Beyond `_MANY` degrees by the Cornish–Fisher series to the fourth order (Abramowitz & Stegun
    26.7.5), whose error is below 1e-12 there: root finding, ten times as slow, is for small arms.
    """
    from scipy.special import ndtri, stdtrit

    z = float(-ndtri(tail))
    square = z * z
    terms = (
        z * (square + 1) / 4,
        z * ((5 * square + 16) * square + 3) / 96,
        z * (((3 * square + 19) * square + 17) * square - 15) / 384,
        z * ((((79 * square + 776) * square + 1482) * square - 1920) * square - 945) / 92_160,
    )
    inverse = 1 / freedom
    found = z + inverse * (
        terms[0] + inverse * (terms[1] + inverse * (terms[2] + inverse * terms[3]))
    )
    few = ~(freedom >= _MANY)
    if few.any():
        found[few] = stdtrit(freedom[few], 1 - tail)
    return found


def normal(effect: Effect, alpha: float = 0.05, side: Side = "two") -> Interval:
    """The same with the normal distribution, for large arms."""
    from scipy.special import ndtr, ndtri

    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.where(effect.error > 0, effect.estimate / effect.error, np.nan)
    width = effect.error * -ndtri(alpha / (2 if side == "two" else 1))
    chosen = {"two": 2 * ndtr(-np.abs(score)), "greater": ndtr(-score), "lesser": ndtr(score)}
    return _sided(effect, width, chosen[side], side)


def fieller(a: Moments, b: Moments, alpha: float = 0.05) -> tuple[Array, Array]:
    """Interval of the lift (b - a) / a without linearising the ratio.

    NaN where the baseline's mean is not told apart from zero: the set is then unbounded.
    """
    from scipy.special import ndtri

    with np.errstate(divide="ignore", invalid="ignore"):
        square = float(ndtri(alpha / 2)) ** 2
        va, vb = a.variance / a.n, b.variance / b.n
        lead = a.mean**2 - square * va
        inner = (a.mean * b.mean) ** 2 - lead * (b.mean**2 - square * vb)
        middle, spread = a.mean * b.mean / lead, np.sqrt(np.maximum(inner, 0)) / lead
    known = (lead > 0) & (a.mean > 0)
    pair = middle - spread - 1, middle + spread - 1
    return np.where(known, pair[0], np.nan), np.where(known, pair[1], np.nan)


def _sided(effect: Effect, width: Array, p_value: Array, side: Side) -> Interval:
    low, high = effect.estimate - width, effect.estimate + width
    if side == "greater":
        high = np.full_like(low, np.inf)
    if side == "lesser":
        low = np.full_like(high, -np.inf)
    return Interval(low, high, p_value)

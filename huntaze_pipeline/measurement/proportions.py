"""Rates: the interval of one, of the difference of two, and the pooled z test of two.

Every function works on arrays of conversions `x` and recipients `n`; baseline first. Means of money
are not rates.
"""

import numpy as np
from numpy.typing import ArrayLike

from huntaze_pipeline.measurement.moments import Array

Bounds = tuple[Array, Array]
Level = float | Array


def wilson(x: ArrayLike, n: ArrayLike, alpha: Level = 0.05) -> Bounds:
    """Wilson's interval of a rate: sensible even at 0 and n conversions."""
    hits, sizes = _floats(x, n)
    z = _quantile(alpha)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate, square = hits / sizes, z**2 / sizes
        middle = (rate + square / 2) / (1 + square)
        width = z * np.sqrt(rate * (1 - rate) / sizes + square / sizes / 4) / (1 + square)
    return np.clip(middle - width, 0, 1), np.clip(middle + width, 0, 1)


def pooled(xa: ArrayLike, na: ArrayLike, xb: ArrayLike, nb: ArrayLike) -> Bounds:
    """Compute z and the two-sided p-value of 'both rates are equal', with the pooled variance."""
    from scipy.special import ndtr

    (x1, n1), (x2, n2) = _floats(xa, na), _floats(xb, nb)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = (x1 + x2) / (n1 + n2)
        z = (x2 / n2 - x1 / n1) / np.sqrt(rate * (1 - rate) * (1 / n1 + 1 / n2))
    return z, 2 * ndtr(-np.abs(z))


def difference(
    xa: ArrayLike, na: ArrayLike, xb: ArrayLike, nb: ArrayLike, alpha: Level = 0.05
) -> Bounds:
    """Newcombe's interval of rate b minus rate a (1998, method 10); it holds for 0 of n, too."""
    (x1, n1), (x2, n2) = _floats(xa, na), _floats(xb, nb)
    (l1, u1), (l2, u2) = wilson(x1, n1, alpha), wilson(x2, n2, alpha)
    p1, p2 = x1 / n1, x2 / n2
    z = _quantile(alpha)
    down = z * np.sqrt(l2 * (1 - l2) / n2 + u1 * (1 - u1) / n1)
    up = z * np.sqrt(u2 * (1 - u2) / n2 + l1 * (1 - l1) / n1)
    return p2 - p1 - down, p2 - p1 + up


def _quantile(alpha: Level) -> Level:
    from scipy.special import ndtri

    return -ndtri(alpha / 2)


def _floats(x: ArrayLike, n: ArrayLike) -> Bounds:
    return np.atleast_1d(np.asarray(x, float)), np.atleast_1d(np.asarray(n, float))

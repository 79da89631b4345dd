"""Rates: the interval of one, and the pooled z test of two.

Every function works on arrays of conversions `x` and recipients `n`; baseline first. Means of money
are not rates.
"""

import numpy as np
from numpy.typing import ArrayLike

from huntaze_pipeline.measurement.moments import Array

Bounds = tuple[Array, Array]


def wilson(x: ArrayLike, n: ArrayLike, alpha: float = 0.05) -> Bounds:
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


def _quantile(alpha: float) -> float:
    from scipy.special import ndtri

    return float(-ndtri(alpha / 2))


def _floats(x: ArrayLike, n: ArrayLike) -> Bounds:
    return np.atleast_1d(np.asarray(x, float)), np.atleast_1d(np.asarray(n, float))

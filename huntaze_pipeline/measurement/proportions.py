"""Rates: intervals of one rate and of the difference of two, and the pooled z test.

For rare outcomes and small arms, where Welch's interval is too short. Every function works on
arrays of conversions `x` and recipients `n`; baseline first. Means of money are not rates.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from huntaze_pipeline.measurement.moments import Array

Method = Literal["wald", "newcombe", "agresti_caffo", "score"]
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


def clopper_pearson(x: ArrayLike, n: ArrayLike, alpha: float = 0.05) -> Bounds:
    """The exact interval of a rate: never too short, often too long."""
    return _beta(x, n, alpha, 0.0, 1.0)


def jeffreys(x: ArrayLike, n: ArrayLike, alpha: float = 0.05) -> Bounds:
    """The interval of a rate from Jeffreys' prior."""
    return _beta(x, n, alpha, 0.5, 0.5)


def pooled(xa: ArrayLike, na: ArrayLike, xb: ArrayLike, nb: ArrayLike) -> Bounds:
    """Compute z and the two-sided p-value of 'both rates are equal', with the pooled variance."""
    from scipy.special import ndtr

    (x1, n1), (x2, n2) = _floats(xa, na), _floats(xb, nb)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = (x1 + x2) / (n1 + n2)
        z = (x2 / n2 - x1 / n1) / np.sqrt(rate * (1 - rate) * (1 / n1 + 1 / n2))
    return z, 2 * ndtr(-np.abs(z))


def difference(
    xa: ArrayLike, na: ArrayLike, xb: ArrayLike, nb: ArrayLike,
    alpha: Level = 0.05, method: Method = "newcombe",
) -> Bounds:  # fmt: skip
    """Interval of rate b minus rate a."""
    first, second = _floats(xa, na), _floats(xb, nb)
    ways = {"wald": _wald, "newcombe": _newcombe, "agresti_caffo": _agresti, "score": _score}
    return ways[method](*first, *second, alpha)


def _wald(x1: Array, n1: Array, x2: Array, n2: Array, alpha: Level) -> Bounds:
    p1, p2 = x1 / n1, x2 / n2
    width = _quantile(alpha) * np.sqrt(p1 * (1 - p1) / n1 + p2 * (1 - p2) / n2)
    return p2 - p1 - width, p2 - p1 + width


def _agresti(x1: Array, n1: Array, x2: Array, n2: Array, alpha: Level) -> Bounds:
    low, high = _wald(x1 + 1, n1 + 2, x2 + 1, n2 + 2, alpha)
    return np.maximum(low, -1), np.minimum(high, 1)


def _newcombe(x1: Array, n1: Array, x2: Array, n2: Array, alpha: Level) -> Bounds:
    (l1, u1), (l2, u2) = wilson(x1, n1, alpha), wilson(x2, n2, alpha)
    p1, p2 = x1 / n1, x2 / n2
    z = _quantile(alpha)
    down = z * np.sqrt(l2 * (1 - l2) / n2 + u1 * (1 - u1) / n1)
    up = z * np.sqrt(u2 * (1 - u2) / n2 + l1 * (1 - l1) / n1)
    return p2 - p1 - down, p2 - p1 + up


def _score(x1: Array, n1: Array, x2: Array, n2: Array, alpha: Level) -> Bounds:
    """Miettinen–Nurminen, by bisection: it cannot fail to converge."""
    middle = x2 / n2 - x1 / n1
    return (
        _edge(x1, n1, x2, n2, alpha, np.full_like(middle, -1.0), middle),
        _edge(x1, n1, x2, n2, alpha, np.full_like(middle, 1.0), middle),
    )


def _edge(
    x1: Array, n1: Array, x2: Array, n2: Array, alpha: Level, far: Array, near: Array
) -> Array:
    square = _quantile(alpha) ** 2
    for _ in range(60):
        tried = (far + near) / 2
        inside = _distance(x1, n1, x2, n2, tried) <= square
        far, near = np.where(inside, far, tried), np.where(inside, tried, near)
    return near


def _distance(x1: Array, n1: Array, x2: Array, n2: Array, gap: Array) -> Array:
    """Squared score statistic of 'rate b is rate a plus gap', at the constrained maximum."""
    rate = _constrained(x1, n1, x2, n2, gap)
    other = np.clip(rate + gap, 0, 1)
    total = n1 + n2
    variance = (rate * (1 - rate) / n1 + other * (1 - other) / n2) * total / (total - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(variance > 0, (x2 / n2 - x1 / n1 - gap) ** 2 / variance, np.inf)


def _constrained(x1: Array, n1: Array, x2: Array, n2: Array, gap: Array) -> Array:
    """Rate a under the constraint: the root of the likelihood's cubic (Miettinen–Nurminen 1985)."""
    total = n1 + n2
    l2 = (n2 + 2 * n1) * gap - total - x1 - x2
    l1 = (n1 * gap - total - 2 * x1) * gap + x1 + x2
    l0 = x1 * gap * (1 - gap)
    shift = l2 / (3 * total)
    q = shift**3 - l1 * l2 / (6 * total**2) + l0 / (2 * total)
    p = np.sign(q) * np.sqrt(np.maximum(shift**2 - l1 / (3 * total), 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        angle = np.where(p == 0, 0.0, np.clip(q / p**3, -1, 1))
    rate = 2 * p * np.cos((np.pi + np.arccos(angle)) / 3) - shift
    return np.clip(rate, np.maximum(0, -gap), np.minimum(1, 1 - gap))


def _beta(x: ArrayLike, n: ArrayLike, alpha: float, below: float, above: float) -> Bounds:
    from scipy.special import betaincinv

    hits, sizes = _floats(x, n)
    with np.errstate(divide="ignore", invalid="ignore"):
        low = betaincinv(hits + below, sizes - hits + above, alpha / 2)
        high = betaincinv(hits + above, sizes - hits + below, 1 - alpha / 2)
    return np.where(hits == 0, 0.0, low), np.where(hits == sizes, 1.0, high)


def _quantile(alpha: Level) -> Level:
    from scipy.special import ndtri

    return -ndtri(alpha / 2)


def _floats(x: ArrayLike, n: ArrayLike) -> Bounds:
    return np.atleast_1d(np.asarray(x, float)), np.atleast_1d(np.asarray(n, float))

"""Means and variances of arms from additive sums: n, Σx and Σx². Comparisons are not made here.

Sums add up over hours and shards, so one row per arm is all that any method needs. Everything is
an array over arms; a single arm is an array of length one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Moments:
    """Size, mean and variance (of one recipient's value) of many arms."""

    n: Array
    mean: Array
    variance: Array
    events: Array
    """How many recipients a normal approximation can rest on: of yes/no values the rarer answer's;
    of amounts those that carry the sum, (Σx)²/Σx² (Kish 1965), or a hundredth of all, for values
    that cancel out. Without a variance none."""

    @property
    def error(self) -> Array:
        """The standard error of the mean."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.sqrt(self.variance / self.n)

    def take(self, index: NDArray[np.intp] | slice) -> "Moments":
        """Return the arms at these positions, repeated and ordered as the index says."""
        return Moments(self.n[index], self.mean[index], self.variance[index], self.events[index])


def binary(n: ArrayLike, total: ArrayLike) -> Moments:
    """Moments of yes/no values: the variance of one recipient is p(1 - p)."""
    sizes, sums = _floats(n), _floats(total)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = sums / sizes
    return Moments(sizes, mean, mean * (1 - mean), np.minimum(sums, sizes - sums))


def general(n: ArrayLike, total: ArrayLike, squares: ArrayLike) -> Moments:
    """Moments of any values, with the unbiased sample variance (n - 1).

    n Σx² and (Σx)² are subtracted without rounding, so sums of whole numbers give the variance
    however small it is beside the mean. Other sums are rounded before they come here: what is
    within the error of adding n numbers one by one (Higham 2002, 4.4) is no variance.
    """
    sizes, sums, second = _floats(n), _floats(total), _floats(squares)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        (large, rest), (square, over) = _product(sizes, second), _product(sums, sums)
        spread = (large - square) + (rest - over)
        floor = np.where(_whole(sums) & _whole(second), 0.0, 3 * _ROUNDING * sizes * large)
        variance = np.where(spread <= floor, 0.0, spread) / sizes / (sizes - 1)
        mean, carrying = sums / sizes, sums**2 / second
    events = np.where(variance > 0, np.fmax(carrying, sizes / 100), 0.0)
    return Moments(sizes, mean, variance, events)


def mixed(n: ArrayLike, total: ArrayLike, squares: ArrayLike) -> Moments:
    """Moments of arms of both kinds: an arm whose Σx² is NaN is binary."""
    sizes, sums, second = _floats(n), _floats(total), _floats(squares)
    yes_no = np.isnan(second)
    left, right = binary(sizes, sums), general(sizes, sums, np.where(yes_no, 0.0, second))
    return Moments(
        sizes, left.mean, np.where(yes_no, left.variance, right.variance),
        np.where(yes_no, left.events, right.events),
    )  # fmt: skip


_ROUNDING = 2.0**-53
_EXACT = 2.0**53
"""Up to here floats hold every whole number."""


def _whole(values: Array) -> NDArray[np.bool_]:
    return (np.abs(values) <= _EXACT) & (values == np.floor(values))


def _product(left: Array, right: Array) -> tuple[Array, Array]:
    """A product and its rounding error, both exact (Veltkamp's split, Dekker's product 1971)."""
    product = left * right
    (high, low), (top, tail) = _split(left), _split(right)
    return product, ((high * top - product) + high * tail + low * top) + low * tail


def _split(values: Array) -> tuple[Array, Array]:
    shifted = values * 134_217_729.0  # 2**27 + 1: halves of 26 bits
    high = shifted - (shifted - values)
    return high, values - high


def _floats(values: ArrayLike) -> Array:
    return np.atleast_1d(np.asarray(values, dtype=np.float64))

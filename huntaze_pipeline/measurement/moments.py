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

    @property
    def error(self) -> Array:
        """The standard error of the mean."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.sqrt(self.variance / self.n)

    def take(self, index: NDArray[np.intp] | slice) -> "Moments":
        """Return the arms at these positions, repeated and ordered as the index says."""
        return Moments(self.n[index], self.mean[index], self.variance[index])


def binary(n: ArrayLike, total: ArrayLike) -> Moments:
    """Moments of yes/no values: the variance of one recipient is p(1 - p)."""
    sizes, sums = _floats(n), _floats(total)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = sums / sizes
    return Moments(sizes, mean, mean * (1 - mean))


def general(n: ArrayLike, total: ArrayLike, squares: ArrayLike) -> Moments:
    """Moments of any values, with the unbiased sample variance (n - 1).

    Rounding can push Σx² a hair below (Σx)²/n when all values are equal; that variance is zero.
    """
    sizes, sums, second = _floats(n), _floats(total), _floats(squares)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = sums / sizes
        variance = (second - sums * mean) / (sizes - 1)
    floor = second * 1e-14
    return Moments(sizes, mean, np.where(variance < floor, 0.0, variance))


def mixed(n: ArrayLike, total: ArrayLike, squares: ArrayLike) -> Moments:
    """Moments of arms of both kinds: an arm whose Σx² is NaN is binary."""
    sizes, sums, second = _floats(n), _floats(total), _floats(squares)
    yes_no = np.isnan(second)
    left, right = binary(sizes, sums), general(sizes, sums, np.where(yes_no, 0.0, second))
    return Moments(sizes, left.mean, np.where(yes_no, left.variance, right.variance))


def _floats(values: ArrayLike) -> Array:
    return np.atleast_1d(np.asarray(values, dtype=np.float64))

"""Whole micros that add up: an amount split by weights without losing or inventing one micro.

Largest remainder: everybody gets the whole part of the share, the micros left over go to the
largest fractions, ties to the earlier touch. Which weights are fair is decided elsewhere.
"""

import numpy as np
from numpy.typing import NDArray

from huntaze_pipeline.measurement.moments import Array

Ints = NDArray[np.int64]


def equal(amounts: Ints, starts: NDArray[np.intp], rows: int) -> Ints:
    """Split each amount equally among the rows of its group; what is left over goes to the first.

    The same as `split` with equal weights, in whole numbers throughout and without sorting.
    """
    lengths = np.diff(np.append(starts, rows))
    every, rest = np.divmod(np.abs(amounts), np.maximum(lengths, 1))
    group = np.repeat(np.arange(len(starts)), lengths)
    place = np.arange(rows) - starts[group]
    return np.sign(amounts)[group] * (every[group] + (place < rest[group]))


def split(amounts: Ints, weights: Array, starts: NDArray[np.intp]) -> Ints:
    """Split each amount among the rows of its group.

    Args:
        amounts: one per group, in micros.
        weights: one per row, rows of a group next to each other and in the order of ties; a group
            whose weights add up to zero is split equally.
        starts: position of each group's first row.

    Returns:
        One whole amount per row; the rows of each group add up to its amount exactly.
    """
    if len(starts) == 0:
        return np.zeros(0, dtype=np.int64)
    lengths = np.diff(np.append(starts, len(weights)))
    group = np.repeat(np.arange(len(starts)), lengths)
    total = np.add.reduceat(weights, starts)[group]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(total == 0, 1 / lengths[group], weights / total)
    # A refund is shared like a purchase of its size, so that both cancel out touch by touch.
    sizes = np.abs(amounts)
    exact: Array = sizes[group].astype(np.float64) * share
    whole = np.minimum(np.floor(exact), _LARGEST)
    left = sizes - np.add.reduceat(whole.astype(np.int64), starts)
    parts = whole.astype(np.int64) + _extra(
        exact - whole, left[group], group, starts, lengths[group]
    )
    return np.sign(amounts)[group] * parts


_LARGEST = float(2**63 - 1024)
"""The largest double that is also an int64."""
_DIGITS = 10**9


def _extra(
    fraction: Array, left: Ints, group: NDArray[np.intp], starts: NDArray[np.intp], length: Ints
) -> Ints:
    """One micro more for the `left` largest fractions; one less when rounding gave out too many.

    Beyond 2**53 micros a double cannot hold a share exactly; then several micros may be left over.
    """
    # Nine digits: shares that are equal must tie, whatever the last bit of the division says.
    small = _DIGITS - np.round(np.minimum(fraction, 1.0) * _DIGITS).astype(np.int64)
    order = np.argsort(group * (2 * _DIGITS) + small, kind="stable")
    rank = np.empty(len(fraction), dtype=np.int64)
    rank[order] = np.arange(len(fraction)) - starts[group[order]]
    every, rest = np.divmod(left, length)
    return every + (rank < rest)

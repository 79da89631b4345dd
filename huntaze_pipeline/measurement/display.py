"""Figures for people, never for verdicts: the shrunken lift, and each arm's chance to be the best.

A winner's measured lift is too high, because it is one reason why it won; pulled towards what lifts
usually are, it is a better guess. Both take the arms' means as normal.
"""

import numpy as np
from numpy.typing import NDArray

from huntaze_pipeline.measurement import bayes
from huntaze_pipeline.measurement.effects import Effect
from huntaze_pipeline.measurement.moments import Array, Moments

USUAL = bayes.Prior(0.0, 0.2**2)
"""Lifts of most tests lie within ±40 %."""
CURSE = (
    "the winner's measured lift is probably too high: it is one reason why it won;"
    " `shrunk` is the better guess"
)
_NODES = 401
_REACH = 8.0
_ROWS = 20_000


def shrunk(relative: Effect, alpha: float = 0.05) -> tuple[Array, tuple[Array, Array]]:
    """Lift and its interval, pulled towards no lift by what is usual."""
    belief = bayes.posterior(relative, USUAL)
    return belief.mean, belief.interval(alpha)


def chances(arms: Moments, starts: NDArray[np.intp]) -> Array:
    """Chance of each arm to have the highest mean of its block; NaN where a mean is unknown.

    Args:
        arms: arms in blocks, one after the other.
        starts: position of each block's first arm.
    """
    lengths = np.diff(np.append(starts, len(arms.n)))
    result = np.full(len(arms.n), np.nan)
    for size in np.unique(lengths):
        first = starts[lengths == size]
        for part in np.array_split(first, max(1, len(first) * size // _ROWS)):
            places = part[:, None] + np.arange(size)
            result[places] = _block(arms.mean[places], arms.error[places])
    return result


def _block(mean: Array, error: Array) -> Array:
    """The chance that each column's normal is the largest of its row, by numerical integration."""
    from scipy.special import ndtr

    if mean.shape[1] == 2:
        with np.errstate(divide="ignore", invalid="ignore"):
            ahead = ndtr((mean[:, 0] - mean[:, 1]) / np.hypot(error[:, 0], error[:, 1]))
        known = (error > 0).all(axis=1, keepdims=True)
        return np.where(known, np.stack([ahead, 1 - ahead], 1), np.nan)
    z = np.linspace(-_REACH, _REACH, _NODES)
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi) * (z[1] - z[0])
    found = np.empty_like(mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        for arm in range(mean.shape[1]):
            at = mean[:, arm, None] + error[:, arm, None] * z
            below = np.ones_like(at)
            for other in range(mean.shape[1]):
                if other != arm:
                    below *= ndtr((at - mean[:, other, None]) / error[:, other, None])
            # A sum by rows, not a matrix product: a test's digits do not depend on its neighbours.
            found[:, arm] = (below * density).sum(axis=1)
    return np.where((error > 0).all(axis=1, keepdims=True), found, np.nan)

"""Many tests at once: adjusted p-values. The rule of a single test is never changed here."""

import numpy as np
from numpy.typing import ArrayLike

from huntaze_pipeline.measurement.moments import Array


def holm(p_values: ArrayLike) -> Array:
    """Holm's adjustment: holds the chance of any false claim among all of them."""
    values = np.asarray(p_values, dtype=float)
    order = np.argsort(values, kind="stable")
    scaled = values[order] * np.arange(len(values), 0, -1)
    return _placed(np.minimum(np.maximum.accumulate(scaled), 1.0), order)


def benjamini_hochberg(p_values: ArrayLike) -> Array:
    """Benjamini–Hochberg's adjustment: holds the expected share of false claims."""
    values = np.asarray(p_values, dtype=float)
    order = np.argsort(values, kind="stable")
    scaled = values[order] * len(values) / np.arange(1, len(values) + 1)
    return _placed(np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0), order)


def e_benjamini_hochberg(e_values: ArrayLike, alpha: float = 0.05) -> np.ndarray:
    """Which tests survive e-BH: the same promise from e-values, however the tests depend."""
    values = np.asarray(e_values, dtype=float)
    order = np.argsort(-values, kind="stable")
    rank = np.arange(1, len(values) + 1)
    passing = np.flatnonzero(values[order] * rank >= len(values) / alpha)
    chosen = np.zeros(len(values), dtype=bool)
    if len(passing):
        chosen[order[: passing[-1] + 1]] = True
    return chosen


def _placed(sorted_values: Array, order: np.ndarray) -> Array:
    result = np.empty_like(sorted_values)
    result[order] = sorted_values
    return result

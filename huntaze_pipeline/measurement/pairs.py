"""Every pair of arms of every block at once: effects, tests and running intervals over looks.

A pair's first arm is the baseline; the control comes first in its block, so effects read as
"challenger minus control". Verdicts are made in `analysis`.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from huntaze_pipeline.measurement import bayes, effects, fixed, moments, sequential
from huntaze_pipeline.measurement.counts import Counts
from huntaze_pipeline.measurement.effects import Effect, Interval
from huntaze_pipeline.measurement.moments import Array, Moments

Index = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Comparisons as arrays, ordered by block."""

    block: Index
    a: Index
    b: Index
    absolute: Effect
    relative: Effect
    fixed_absolute: Interval
    fixed_relative: Interval
    fieller: tuple[Array, Array]
    valid_absolute: Interval
    valid_relative: Interval
    chance: Array
    lift: Array
    credible: tuple[Array, Array]


def compare(
    counts: Counts, alpha: float, tuning: float, prior: bayes.Prior | None
) -> tuple[Moments, Pairs]:
    """Compare all arms within their blocks; always-valid results run over the looks so far."""
    arms = moments.mixed(counts.n, counts.sum, counts.squares)
    block, first, second = _indices(counts.starts, counts.lengths)
    a, b = arms.take(first), arms.take(second)
    absolute, relative = effects.absolute(a, b), effects.relative(a, b)
    belief = bayes.posterior(relative, prior)
    keys = _keys(counts, block, first, second)
    return arms, Pairs(
        block, first, second, absolute, relative,
        fixed.welch(absolute, alpha), fixed.welch(relative, alpha), fixed.fieller(a, b, alpha),
        _running(sequential.sequence(absolute, alpha, tuning), keys, sequential.ready(absolute)),
        _running(sequential.sequence(relative, alpha, tuning), keys, sequential.ready(absolute)),
        belief.chance_to_win, belief.mean, belief.interval(alpha),
    )  # fmt: skip


def _indices(starts: Index, lengths: Index) -> tuple[Index, Index, Index]:
    """Block, first and second arm of every pair, without a loop over blocks."""
    parts = []
    for size in np.unique(lengths):
        left, right = np.triu_indices(size, 1)
        blocks = np.flatnonzero(lengths == size)
        base = starts[blocks][:, None]
        here = np.repeat(blocks, len(left))
        parts.append((here, (base + left).ravel(), (base + right).ravel()))
    block, first, second = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.argsort(block, kind="stable")
    return block[order], first[order], second[order]


def _keys(counts: Counts, block: Index, first: Index, second: Index) -> pl.DataFrame | None:
    """What makes a pair the same at the next look; None when every experiment has one look."""
    if len(set(counts.experiments)) == len(counts.experiments):
        return None
    names = pl.Series(counts.variants)
    return pl.DataFrame({
        "experiment": pl.Series(counts.experiments)[block],
        "a": names[first],
        "b": names[second],
    })  # fmt: skip


def _running(now: Interval, keys: pl.DataFrame | None, ready: NDArray[np.bool_]) -> Interval:
    """Intersect the intervals and keep the smallest p-value of the looks so far that count.

    A single look is shown as it is.
    """
    if keys is None:
        return now
    over = ["experiment", "a", "b"]
    counted = (np.where(ready, part, np.nan) for part in (now.low, now.high, now.p_value))
    table = keys.with_columns(**dict(zip(("low", "high", "p"), counted, strict=True)))
    table = table.fill_nan(None)
    ran = table.select(
        pl.col("low").cum_max().forward_fill().over(over),
        pl.col("high").cum_min().forward_fill().over(over),
        pl.col("p").cum_min().forward_fill().over(over),
    ).fill_null(float("nan"))
    return Interval(*(ran[name].to_numpy() for name in ("low", "high", "p")))

"""The removal effect: how many conversions would be lost if a channel vanished, by a Markov chain.

Solved exactly, with one matrix inversion for all channels. The chain's conversion probability
equals the measured one; steps that repeat a channel change nothing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from huntaze_pipeline.measurement import credits
from huntaze_pipeline.measurement.moments import Array
from huntaze_pipeline.measurement.paths import Paths


@dataclass(frozen=True, slots=True)
class Chain:
    """A solved chain."""

    channels: list[str]
    probability: float
    """Chance that a path ends in a conversion."""
    removal: Array
    """Share of conversions lost without the channel."""


def solve(paths: Paths) -> Chain:
    """Estimate the chain from paths (of any length above zero) and solve it.

    A path must have ended somehow: rows with neither conversions nor nulls are left out.
    """
    channels = paths.channels
    if not channels:
        return Chain([], 0.0, np.zeros(0))
    counts, won, lost = _transitions(paths, channels)
    used = counts.sum(1) + won + lost
    kept = np.maximum(used, 1e-300)[:, None]
    inner = counts / kept
    # Row 0 is the start; visits = expected visits of each state, seen from each state.
    visits = np.linalg.inv(np.eye(len(used)) - inner)
    from_each = visits @ (won / kept[:, 0])
    probability = float(from_each[0])
    reach = visits[0, 1:] / np.diag(visits)[1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        removal = np.where(probability > 0, reach * from_each[1:] / probability, 0.0)
    return Chain(channels, probability, removal)


def credit(chain: Chain, conversions: float, value: int) -> dict[str, dict[str, float | int]]:
    """Share out all conversions and their value by removal effect."""
    if not chain.channels:
        return {}
    total = float(chain.removal.sum())
    share = chain.removal / total if total > 0 else np.zeros(len(chain.channels))
    money = credits.split(np.array([value], dtype=np.int64), share, np.zeros(1, dtype=np.intp))
    return {
        name: {"conversions": float(part * conversions), "value_micros": int(micros)}
        for name, part, micros in zip(chain.channels, share, money, strict=True)
    }


def _transitions(paths: Paths, channels: list[str]) -> tuple[Array, Array, Array]:
    """Counts from state to state (0 is the start), to conversion and to nothing."""
    code = {name: place + 1 for place, name in enumerate(channels)}
    lengths = np.array([len(path) for path in paths.steps])
    states = np.array([code[step] for path in paths.steps for step in path], dtype=np.intp)
    often = np.repeat(paths.conversions + paths.nulls, lengths)
    ends = np.cumsum(lengths)[lengths > 0] - 1
    starts = (np.cumsum(lengths) - lengths)[lengths > 0]
    before = np.append(0, states[:-1])
    before[starts] = 0
    size = len(channels) + 1
    counts = _tally(before * size + states, often, size * size).reshape(size, size)
    won = _tally(states[ends], paths.conversions[lengths > 0], size)
    return counts, won, _tally(states[ends], paths.nulls[lengths > 0], size)


def _tally(states: NDArray[np.intp], often: Array, size: int) -> Array:
    return np.bincount(states, often, size).astype(np.float64)

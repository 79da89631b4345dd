"""Group-sequential boundaries by numerical integration: how large |z| must be at each look.

Lan–DeMets spending of alpha over information time, Pocock's and O'Brien–Fleming's classical
constants, and the chance of crossing any boundary (with or without a true effect). What a look
decides is not here.
"""

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import Literal

import numpy as np

from huntaze_pipeline.measurement.moments import Array

STEPS = 20
CEILING = 8.0
"""A boundary beyond this stands for 'do not stop here'."""
Spending = Literal["obrien_fleming", "pocock"]
_NODES = 200


@cache
def table(
    alpha: float = 0.05, steps: int = STEPS, kind: Spending = "obrien_fleming"
) -> tuple[float, ...]:
    """Boundaries at the information fractions 1/steps, 2/steps, … 1, two-sided alpha."""
    return tuple(boundaries(tuple((np.arange(steps) + 1) / steps), alpha, kind))


def spent(time: Array, alpha: float, kind: Spending = "obrien_fleming") -> Array:
    """Alpha of both sides together that may be used up by information fraction `time`."""
    from scipy.special import ndtr, ndtri

    if kind == "pocock":
        return alpha * np.log1p((np.e - 1) * time)
    return 4 * ndtr(ndtri(alpha / 4) / np.sqrt(time))


def boundaries(times: Sequence[float], alpha: float, kind: Spending = "obrien_fleming") -> Array:
    """Lan–DeMets boundaries for looks at these information fractions, the last one usually 1."""
    grid = np.asarray(times, dtype=float)
    new = np.diff(spent(grid, alpha, kind), prepend=0.0) / 2
    found: list[float] = []
    walk = _Walk(0.0)
    for time, share in zip(grid, new, strict=True):
        bound = _solve(lambda z, at=time: walk.above(z, at), float(share))
        found.append(bound)
        walk.advance(bound, time)
    return np.array(found)


def closing(bounds: Sequence[float], times: Sequence[float], time: float, alpha: float) -> float:
    """Boundary of the last look, at information `time`, that spends all alpha not spent yet.

    Args:
        bounds: boundaries of the looks taken so far.
        times: their information fractions, all below `time`.
        time: information fraction of the last look; below 1 when fewer came than planned.
        alpha: two-sided error probability of the whole test.
    """
    return _closing(tuple(bounds), tuple(times), time, alpha)


@lru_cache(4096)
def _closing(
    bounds: tuple[float, ...], times: tuple[float, ...], time: float, alpha: float
) -> float:
    # Thousands of tests end with the same few looks behind them: each case is solved once.
    walk, used = _Walk(0.0), 0.0
    for bound, at in zip(bounds, times, strict=True):
        used += 2 * walk.above(bound, at)
        walk.advance(bound, at)
    return _solve(lambda z: walk.above(z, time), (alpha - used) / 2)


def crossing(
    bounds: Sequence[float] | Array, times: Sequence[float] | Array, drift: float = 0.0
) -> Array:
    """Probability that |z| has crossed a boundary by each look.

    Args:
        bounds: boundary for |z| at each look.
        times: information fraction of each look.
        drift: expected z at information 1; 0 means no true effect.
    """
    walk, total, result = _Walk(drift), 0.0, []
    for bound, time in zip(bounds, times, strict=True):
        total += walk.above(float(bound), float(time)) + walk.below(float(bound), float(time))
        result.append(total)
        walk.advance(float(bound), float(time))
    return np.array(result)


def pocock(looks: int, alpha: float = 0.05) -> float:
    """Pocock's constant: the same boundary at every one of `looks` equal looks."""
    return _constant(lambda c: np.full(looks, c), looks, alpha)


def obrien_fleming(looks: int, alpha: float = 0.05) -> float:
    """O'Brien–Fleming's constant C: the boundary at look k is C √(looks / k)."""
    shape = np.sqrt(looks / (np.arange(looks) + 1))
    return _constant(lambda c: c * shape, looks, alpha)


class _Walk:
    """The density of the score process that has not crossed yet, on Gauss–Legendre nodes."""

    def __init__(self, drift: float) -> None:
        self.drift = drift
        self.time = 0.0
        self.points = np.zeros(1)
        self.mass = np.ones(1)

    def above(self, bound: float, time: float) -> float:
        """Probability of crossing upwards at this look, not before."""
        return float(self.mass @ self._tail(bound * np.sqrt(time) - self.points, time))

    def below(self, bound: float, time: float) -> float:
        """Probability of crossing downwards at this look, not before."""
        step = time - self.time
        return float(
            self.mass
            @ self._tail(bound * np.sqrt(time) + self.points + 2 * self.drift * step, time)
        )

    def _tail(self, distance: Array, time: float) -> Array:
        from scipy.special import ndtr

        step = time - self.time
        return ndtr(-(distance - self.drift * step) / np.sqrt(step))

    def advance(self, bound: float, time: float) -> None:
        """Carry the density to this look and cut off what has crossed."""
        nodes, weights = _legendre()
        edge, step = bound * np.sqrt(time), time - self.time
        points = nodes * edge
        gap = points[:, None] - self.points[None, :] - self.drift * step
        density = np.exp(-(gap**2) / (2 * step)) @ self.mass / np.sqrt(2 * np.pi * step)
        self.points, self.mass, self.time = points, density * weights * edge, time


@cache
def _legendre() -> tuple[Array, Array]:
    return np.polynomial.legendre.leggauss(_NODES)


def _solve(tail: Callable[[float], float], share: float) -> float:
    from scipy.optimize import brentq

    if tail(CEILING) >= share:
        return CEILING
    return float(brentq(lambda z: tail(z) - share, 0.0, CEILING, xtol=1e-12))  # pyright: ignore[reportArgumentType]


def _constant(shape: Callable[[float], Array], looks: int, alpha: float) -> float:
    from scipy.optimize import brentq

    times = (np.arange(looks) + 1) / looks
    miss = lambda c: float(crossing(shape(c), times)[-1]) - alpha  # noqa: E731
    return float(brentq(miss, 1.0, 5.0, xtol=1e-10))  # pyright: ignore[reportArgumentType]

"""How much more harm an arm does than the control: bounds on the difference of their bad events.

Bad events are rare and none is not proof of none, so nothing here rests on a normal approximation
of what was not seen. For looks at any time each arm has an exact sequence of its rate; for the one
look at the end Newcombe's interval (1998, method 10), whose upper bound of 0 of n is about that of
the rule of three. What follows from the bounds is decided in `decision` and `analysis`.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from huntaze_pipeline.measurement import evidence, proportions
from huntaze_pipeline.measurement.evidence import Arm, Group
from huntaze_pipeline.measurement.moments import Array

Bounds = tuple[Array, Array]
PRIOR = (0.5, 49.5)
"""Beta prior of a rate of bad events: about 1 %, worth 50 recipients. It sets where the sequence is
tight, not whether it is right."""


def bounds(
    groups: Sequence[Group], alpha: Array, over: NDArray[np.bool_]
) -> list[dict[str, tuple[float, float]]]:
    """One-sided bounds (low, high) of each challenger's extra rate of bad events, per group.

    Half of alpha is for looks at any time, half for the one look at the end, whose upper bound is
    the tighter of the two. Arms are compared within an epoch. Groups whose bad events are not known
    give no bounds; a challenger that shares no epoch with the control has infinite ones.
    """
    rates = [_badly(group) for group in groups]
    found = evidence.paired(rates)
    arms = [arm for group in rates for arm in group]
    x, n = (np.array([getattr(arm, key) for arm in arms], float) for key in ("sum", "n"))
    a, b, pair = found.left, found.right, found.part_of
    level, age = alpha[found.owner][pair], np.array([arm.epoch for arm in arms], float)[a]
    # Both arms and all epochs that may come share this half of alpha: 1/2, 1/6, 1/12, … are 1.
    share = level / 4 / ((age + 1) * (age + 2))
    (low_a, high_a), (low_b, high_b) = sequence(x[a], n[a], share), sequence(x[b], n[b], share)
    low, high = found.total(low_b - high_a), found.total(high_b - low_a)
    gap = x[b] / n[b] - x[a] / n[a]
    end = proportions.difference(x[a], n[a], x[b], n[b], level)[1] - gap
    # Distances from the estimate add up as squares (Zou & Donner 2008).
    last = found.total(gap) + np.sqrt(found.total(end**2, 2))
    high = np.where(over[found.owner], np.fmin(high, last), high)
    low, high = np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)
    result: list[dict[str, tuple[float, float]]] = [{} for _ in groups]
    rows = zip(found.owner.tolist(), found.a, found.b, low.tolist(), high.tolist(), strict=True)
    for owner, first, second, least, most in rows:
        if first == groups[owner][0].id:
            result[owner][second] = (least, most)
    return result


def highest(xa: Array, na: Array, xb: Array, nb: Array, alpha: float) -> Array:
    """Upper bound, for one look, of rate b minus rate a; one-sided."""
    return proportions.difference(xa, na, xb, nb, 2 * alpha)[1]


def sequence(x: Array, n: Array, alpha: Array) -> Bounds:
    """Exact sequence of a rate, valid at any time: what the beta-binomial mixture cannot exclude.

    Robbins 1970: the mixture's likelihood over that of the true rate is ever 1/alpha or more with
    a chance of alpha at most, whatever the rate and however few the recipients.
    """
    middle = (x + PRIOR[0]) / (n + sum(PRIOR))
    low = _edge(x, n, np.zeros_like(middle), middle, alpha)
    return low, _edge(x, n, np.ones_like(middle), middle, alpha)


def _edge(x: Array, n: Array, far: Array, near: Array, alpha: Array) -> Array:
    """Bisect between a rate that may be excluded (far) and one that is not (near)."""
    from scipy.special import betaln, xlog1py, xlogy

    mixture = betaln(PRIOR[0] + x, PRIOR[1] + n - x) - betaln(*PRIOR) + np.log(alpha)
    for _ in range(40):
        middle = (far + near) / 2
        out = mixture >= xlogy(x, middle) + xlog1py(n - x, -middle)
        far, near = np.where(out, middle, far), np.where(out, near, middle)
    return far


def _badly(arms: Group) -> list[Arm]:
    """The same arms with bad events for conversions; none if those are not known."""
    if any(arm.bad is None for arm in arms):
        return []
    return [replace(arm, sum=arm.bad or 0) for arm in arms]

"""What one look of a running experiment says about each pair of arms: z, e-value and interval.

Arms whose split changed over time come in epochs; pairs are compared within an epoch and combined,
so that a change of the split cannot look like an effect. Verdicts are made in `decision`.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from huntaze_pipeline.measurement import effects, evalue, moments, sequential, srm
from huntaze_pipeline.measurement.effects import Effect
from huntaze_pipeline.measurement.moments import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """Counts of one variant (in one allocation epoch); the first arm of an experiment is its
    control.
    """

    id: str
    assigned: int
    """Recipients given this variant, matured or not: what the split is checked on."""
    n: int
    """Matured recipients: sent at least the metric's window ago."""
    sum: float
    squares: float | None = None
    """None: yes/no values, and `sum` counts conversions."""
    weight: float = 1.0
    bad: int | None = None
    """Matured recipients with a guardrail event (unsubscribed, complained)."""
    epoch: int = 0
    """Rises when the planned split changes."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Challenger b against baseline a."""

    a: str
    b: str
    estimate: float | None
    error: float | None
    z: float | None
    e: float | None
    low: float | None
    high: float | None


def split(arms: Sequence[Arm]) -> float:
    """E-value of a wrong split: epochs are independent, so theirs multiply."""
    total = 1.0
    for epoch in _epochs(arms):
        total *= srm.evalue([arm.assigned for arm in epoch], [arm.weight for arm in epoch])
    return min(total, 1e300)


def final_split(arms: Sequence[Arm]) -> float:
    """The smallest chi² p-value of the epochs, times their number."""
    epochs = list(_epochs(arms))
    values = [
        srm.pvalue([a.assigned for a in epoch], [a.weight for a in epoch]) for epoch in epochs
    ]
    return min(1.0, min(values) * len(values))


def names(arms: Sequence[Arm]) -> list[str]:
    """The variants, in the order given; the control first."""
    return list(dict.fromkeys(arm.id for arm in arms))


def normal(arms: Sequence[Arm], bound: float) -> list[Pair]:
    """Pairs with z and the interval estimate ± bound standard errors."""
    result = []
    for a, b in combinations(names(arms), 2):
        effect = _effect(arms, a, b)
        result.append(_pair(a, b, effect, None, *_around(effect, bound * effect.error)))
    return result


def always_valid(arms: Sequence[Arm], alpha: float, tuning: float) -> list[Pair]:
    """Pairs with e-value and confidence sequence of the absolute difference."""
    result = []
    for a, b in combinations(names(arms), 2):
        effect = _effect(arms, a, b)
        e = float(sequential.evalue(effect, alpha, tuning)[0])
        width = sequential.halfwidth(effect.variance, effect.n, alpha, tuning)
        result.append(_pair(a, b, effect, e, *_around(effect, width)))
    return result


def exact(arms: Sequence[Arm], alpha: float) -> list[Pair]:
    """Pairs of yes/no arms with the exact e-value; the interval is that of the lift (b - a) / a.

    With several epochs e-values multiply; the interval is then the one of the newest epoch.
    """
    result = []
    for a, b in combinations(names(arms), 2):
        log, low, high = 0.0, -1.0, math.inf
        for left, right in _matched(arms, a, b):
            share = right.weight / (left.weight + right.weight)
            log += float(np.log(evalue.evalue(left.sum, right.sum, share)[0]))
            interval = evalue.sequence(left.sum, right.sum, share, alpha)
            low, high = float(interval.low[0]), float(interval.high[0])
        result.append(_pair(a, b, _effect(arms, a, b), math.exp(min(log, 700.0)), low, high))
    return result


def _pair(a: str, b: str, effect: Effect, e: float | None, low: float, high: float) -> Pair:
    estimate, error = float(effect.estimate[0]), float(effect.error[0])
    z = estimate / error if error > 0 else None
    known = [x if x is not None and math.isfinite(x) else None for x in (estimate, error, e)]
    bounds = [x if math.isfinite(x) else None for x in (low, high)]
    return Pair(a, b, known[0], known[1], z, known[2] if z is not None else None, *bounds)


def harm(arms: Sequence[Arm], alpha: float, tuning: float) -> dict[str, tuple[float, float]]:
    """Always-valid one-sided bounds (low, high) of each challenger's extra rate of bad events."""
    if any(arm.bad is None for arm in arms):
        return {}
    events = [
        Arm(id=a.id, assigned=a.assigned, n=a.n, sum=a.bad or 0, weight=a.weight, epoch=a.epoch)
        for a in arms
    ]
    control, *others = names(arms)
    found = {}
    for other in others:
        effect = _effect(events, control, other)
        width = sequential.halfwidth(effect.variance, effect.n, 2 * alpha, tuning)
        found[other] = _around(effect, width)
    return found


def _effect(arms: Sequence[Arm], a: str, b: str) -> Effect:
    """The absolute difference within epochs, weighted by the epochs' sizes."""
    parts, weights = [], []
    for left, right in _matched(arms, a, b):
        parts.append(effects.absolute(_moments(left), _moments(right)))
        weights.append(left.n * right.n / (left.n + right.n))
    if not parts:
        unknown = np.full(1, np.nan)
        return Effect(unknown, unknown, unknown, unknown)
    share = np.array(weights) / sum(weights)
    estimate = sum(w * part.estimate for w, part in zip(share, parts, strict=True))
    variance = sum(w**2 * part.variance for w, part in zip(share, parts, strict=True))
    size = sum(part.n for part in parts)
    return Effect(np.asarray(estimate), np.asarray(variance), parts[0].freedom, np.asarray(size))


def _moments(arm: Arm) -> moments.Moments:
    squares = np.nan if arm.squares is None else arm.squares
    return moments.mixed(arm.n, arm.sum, squares)


def _matched(arms: Sequence[Arm], a: str, b: str) -> Iterator[tuple[Arm, Arm]]:
    """The two arms in each epoch in which both have matured recipients."""
    for epoch in _epochs(arms):
        rows = {arm.id: arm for arm in epoch}
        if a in rows and b in rows and rows[a].n > 0 and rows[b].n > 0:
            yield rows[a], rows[b]


def _epochs(arms: Sequence[Arm]) -> Iterator[list[Arm]]:
    for number in sorted({arm.epoch for arm in arms}):
        yield [arm for arm in arms if arm.epoch == number]


def _around(effect: Effect, width: Array) -> tuple[float, float]:
    return float((effect.estimate - width)[0]), float((effect.estimate + width)[0])

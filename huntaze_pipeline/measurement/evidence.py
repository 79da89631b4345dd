"""What looks at running experiments say about each pair of arms: z, e-value and interval.

Arms whose split changed over time come in epochs; pairs are compared within an epoch and combined
by size (inverse variance, the variance being the same in all), so that a change of the split cannot
look like an effect. Many experiments are computed at once: a group is one experiment's arms.
Verdicts are made in `decision`.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from huntaze_pipeline.measurement import effects, evalue, moments, sequential, srm
from huntaze_pipeline.measurement.effects import Effect
from huntaze_pipeline.measurement.moments import Array

Group = Sequence["Arm"]
Index = NDArray[np.intp]


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
    hits: int | None = None
    """Recipients with a value above zero, for amounts; None: not known."""
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


def names(arms: Group) -> list[str]:
    """The variants, in the order given; the control first."""
    return list(dict.fromkeys(arm.id for arm in arms))


def splits(groups: Sequence[Group]) -> Array:
    """E-value of a wrong split of each group: epochs are independent, so theirs multiply."""
    users, weights, starts, owner = _blocks(groups)
    log = np.log(srm.evalues(users, weights, starts))
    return np.exp(np.minimum(np.bincount(owner, log, len(groups)), 690.0))


def final_splits(groups: Sequence[Group]) -> Array:
    """The smallest chi² p-value of each group's epochs, times their number."""
    users, weights, starts, owner = _blocks(groups)
    values = srm.pvalues(users, weights, starts)
    least = np.ones(len(groups))
    np.minimum.at(least, owner, values)
    return np.minimum(1.0, least * np.bincount(owner, minlength=len(groups)))


def normal(groups: Sequence[Group], bound: Array) -> list[list[Pair]]:
    """Pairs with z and the interval estimate ± each group's bound standard errors."""
    pairing = paired(groups)
    effect = _effect(groups, pairing)
    width, unknown = bound[pairing.owner] * effect.error, np.full(len(pairing.owner), np.nan)
    low, high = effect.estimate - width, effect.estimate + width
    return pairing.rows(effect, unknown, low, high, len(groups))


def always_valid(groups: Sequence[Group], alpha: Array, tuning: Array) -> list[list[Pair]]:
    """Pairs with e-value and confidence sequence of the absolute difference."""
    pairing = paired(groups)
    effect = _effect(groups, pairing)
    level, size = alpha[pairing.owner], tuning[pairing.owner]
    ready = sequential.ready(effect)
    e = np.where(ready, sequential.evalue(effect, level, size), np.nan)
    width = sequential.halfwidth(effect.variance, effect.n, level, size)
    width = np.where(ready, width, np.inf)
    return pairing.rows(effect, e, effect.estimate - width, effect.estimate + width, len(groups))


def exact(groups: Sequence[Group], alpha: Array) -> list[list[Pair]]:
    """Pairs of yes/no arms with the exact e-value; the interval is that of the lift (b - a) / a.

    With several epochs e-values multiply; the interval is then the one of the newest epoch.
    """
    pairing = paired(groups)
    arms = [arm for group in groups for arm in group]
    total = np.array([arm.sum for arm in arms], dtype=float)
    weight = np.array([arm.weight for arm in arms], dtype=float)
    a, b = total[pairing.left], total[pairing.right]
    part = weight[pairing.right] / (weight[pairing.left] + weight[pairing.right])
    log = np.bincount(pairing.part_of, np.log(evalue.evalue(a, b, part)), len(pairing.owner))
    interval = evalue.sequence(a, b, part, alpha[pairing.owner][pairing.part_of])
    low, high = np.full(len(pairing.owner), -1.0), np.full(len(pairing.owner), math.inf)
    low[pairing.part_of], high[pairing.part_of] = interval.low, interval.high
    e = np.exp(np.minimum(log, 690.0))
    return pairing.rows(_effect(groups, pairing), e, low, high, len(groups))


@dataclass(frozen=True, slots=True)
class Pairing:
    """All pairs of all groups: who they are, and where their arms stand, epoch by epoch."""

    owner: Index
    """The group of each pair."""
    a: list[str]
    b: list[str]
    left: Index
    """Position of the baseline among all arms, for each pair and epoch."""
    right: Index
    part_of: Index
    """The pair of each of these."""
    share: Array
    """What each of these weighs in its pair: all of a pair's epochs together 1."""

    def total(self, values: Array, power: int = 1) -> Array:
        """Add up the epochs of each pair, weighted; NaN for a pair without one."""
        pairs = len(self.owner)
        added = np.bincount(self.part_of, self.share**power * values, pairs)
        return np.where(np.bincount(self.part_of, minlength=pairs) > 0, added, np.nan)

    def rows(
        self, effect: Effect, e: Array, low: Array, high: Array, groups: int
    ) -> list[list[Pair]]:
        """Give the pairs of each group; what is not finite is None."""
        result: list[list[Pair]] = [[] for _ in range(groups)]
        estimate, error = effect.estimate, effect.error
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.where(error > 0, estimate / error, np.nan)
        e = np.where(np.isnan(z), np.nan, e)
        columns = zip(*map(_known, (estimate, error, z, e, low, high)), strict=True)
        for owner, a, b, row in zip(self.owner.tolist(), self.a, self.b, columns, strict=True):
            result[owner].append(Pair(a, b, *row))
        return result


def paired(groups: Sequence[Group]) -> Pairing:
    """Pair the arms of every group, within the epochs in which both have matured recipients."""
    owner, a, b = [], [], []
    left, right, part_of = [], [], []
    offset = 0
    for number, group in enumerate(groups):
        places = [(arm.epoch, arm.id, offset + i) for i, arm in enumerate(group) if arm.n > 0]
        where = {(epoch, name): place for epoch, name, place in places}
        epochs = sorted({epoch for epoch, _, _ in places})
        for first, second in combinations(names(group), 2):
            for epoch in epochs:
                if (epoch, first) in where and (epoch, second) in where:
                    left.append(where[epoch, first])
                    right.append(where[epoch, second])
                    part_of.append(len(owner))
            owner.append(number)
            a.append(first)
            b.append(second)
        offset += len(group)
    first, second, part = (np.array(x, dtype=np.intp) for x in (left, right, part_of))
    n = np.array([arm.n for group in groups for arm in group], dtype=float)
    weight = n[first] * n[second] / (n[first] + n[second])
    share = weight / np.bincount(part, weight, len(owner))[part]
    return Pairing(np.array(owner, dtype=np.intp), a, b, first, second, part, share)


def _effect(groups: Sequence[Group], pairing: Pairing) -> Effect:
    """The absolute difference within epochs, weighted by the epochs' sizes."""
    arms = [arm for group in groups for arm in group]
    all_arms = moments.mixed(
        np.array([arm.n for arm in arms], dtype=float),
        np.array([arm.sum for arm in arms], dtype=float),
        np.array([np.nan if arm.squares is None else arm.squares for arm in arms], dtype=float),
    )
    first, second = all_arms.take(pairing.left), all_arms.take(pairing.right)
    parts = effects.absolute(first, second)
    events = [pairing.total(arm.events, 0) for arm in (first, second)]
    return Effect(
        pairing.total(parts.estimate), pairing.total(parts.variance, 2),
        np.full(len(pairing.owner), np.nan), pairing.total(parts.n, 0), np.minimum(*events),
    )  # fmt: skip


def _blocks(groups: Sequence[Group]) -> tuple[Array, Array, Index, Index]:
    """Assigned counts and weights of every epoch of every group, one after the other."""
    users, weights, starts, owner = [], [], [], []
    for number, group in enumerate(groups):
        for epoch in _epochs(group):
            starts.append(len(users))
            owner.append(number)
            users += [float(arm.assigned) for arm in epoch]
            weights += [float(arm.weight) for arm in epoch]
    numbers = (np.array(users), np.array(weights))
    return *numbers, np.array(starts, dtype=np.intp), np.array(owner, dtype=np.intp)


def _epochs(arms: Group) -> Iterator[list[Arm]]:
    for number in sorted({arm.epoch for arm in arms}):
        yield [arm for arm in arms if arm.epoch == number]


def _known(values: Array) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values.tolist()]

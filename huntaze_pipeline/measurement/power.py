"""How many recipients a test needs, and what it can find. Plans only: nothing here judges a test.

Four designs: one look at the end, as published calculators plan it (fixed) and as Welch's test
decides it (welch); looks at twenty steps (group sequential, O'Brien–Fleming); the always-valid
interval, looked at twenty times too. Counts are recipients per arm of two arms of equal sizes.
Variances are each arm's own, as in the tests that decide; without an effect `fixed` takes the
baseline's for both (Evan Miller's calculator), which promises too much for rare outcomes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

import numpy as np

from huntaze_pipeline.errors import Problem, Problems
from huntaze_pipeline.measurement import bayes, sequential, spending
from huntaze_pipeline.measurement.effects import Effect

Design = Literal["fixed", "group_sequential", "always_valid", "welch"]
DESIGNS: tuple[Design, ...] = ("fixed", "group_sequential", "always_valid", "welch")
_MOST = 1e12
_SURE = 37.0
"""Expected events that bring the 25 which an always-valid look takes, in 98 of 100 tests."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a test is to find.

    `baseline` is a rate (binary) or a mean with its `deviation`; `effect` the absolute difference.
    """

    baseline: float
    effect: float
    deviation: float | None = None
    alpha: float = 0.05
    power: float = 0.8
    tuning: float = sequential.TUNING

    @property
    def variance(self) -> float:
        """Variance of one recipient of each arm, added up."""
        if self.deviation is not None:
            return 2 * self.deviation**2
        return sum(rate * (1 - rate) for rate in (self.baseline, self.baseline + self.effect))

    @property
    def calm(self) -> float:
        """Variance of one recipient of each arm without an effect, added up."""
        if self.deviation is not None:
            return 2 * self.deviation**2
        return 2 * self.baseline * (1 - self.baseline)

    @property
    def events(self) -> float:
        """What one recipient adds to the rarer arm's `Moments.events`."""
        means = self.baseline, self.baseline + self.effect
        if self.deviation is not None:
            carrying = (mean**2 / (mean**2 + self.deviation**2) for mean in means)
            return max(0.01, min(carrying))
        return min(min(rate, 1 - rate) for rate in means)


def check(question: Question) -> None:
    """Refuse a question that has no answer.

    Raises:
        Problems: every argument that cannot be, with what would be right.
    """
    rows = [
        ("alpha", 0 < question.alpha < 0.5, "must lie between 0 and 0.5"),
        ("power", 0.05 < question.power < 1, "must lie between 0.05 and 1"),
        ("tuning", question.tuning > 0, "must be positive"),
        ("effect", question.effect != 0, "must not be zero: no test can find 'no difference'"),
    ]
    if question.deviation is None:
        other = question.baseline + question.effect
        rows.append(("baseline", 0 < question.baseline < 1, "is a rate: between 0 and 1"))
        rows.append(("effect", 0 <= other <= 1, f"would make the other arm's rate {other:.6g}"))
    else:
        rows.append(("sd", question.deviation > 0, "must be positive"))
    faults = [Problem(where, what) for where, right, what in rows if not right]
    if faults:
        raise Problems(faults)


def recipients(question: Question, design: Design = "fixed") -> float:
    """Recipients per arm that find the effect with the asked power, not rounded."""
    from scipy.special import ndtri

    check(question)
    sure, found = float(-ndtri(question.alpha / 2)), float(ndtri(question.power))
    if design == "fixed":
        spread = sure * math.sqrt(question.calm) + found * math.sqrt(question.variance)
        return spread**2 / question.effect**2
    welch = question.variance * (sure + found) ** 2 / question.effect**2
    if design == "welch":
        return welch
    if design == "group_sequential":
        return welch * inflation(question.alpha, question.power)
    return _root(lambda n: achieved(question, n, "always_valid") - question.power, 2.0)


def least(question: Question) -> int:
    """Recipients per arm below which no verdict is to be expected: 25 conversions, 100 of them."""
    if question.deviation is not None:
        return 100
    rarest = min(question.baseline, question.baseline + question.effect)
    return int(np.ceil(max(100.0, 25 / rarest if rarest > 0 else 0.0)))


def detectable(question: Question, n: float, design: Design = "fixed") -> float | None:
    """The smallest increase that `n` recipients per arm find with the asked power; None if none."""
    top = (1 - question.baseline) if question.deviation is None else question.deviation * 1e3

    def short(effect: float) -> float:
        asked = replace(question, effect=effect)
        if design == "always_valid":
            return achieved(asked, n, design) - question.power
        return n - recipients(asked, design)

    low, high = 0.0, top * 1e-6
    while short(high) < 0:
        if high >= top:
            return None
        low, high = high, min(2 * high, top)
    return _crossed(short, low, high) if low else high


def achieved(question: Question, n: float, design: Design = "fixed") -> float:
    """Chance to find the effect with `n` recipients per arm, at any of the design's looks."""
    from scipy.special import ndtr, ndtri

    drift = abs(question.effect) / float(np.sqrt(question.variance / n))
    if design in ("fixed", "welch"):
        ratio = question.calm / question.variance if design == "fixed" else 1.0
        bound = float(-ndtri(question.alpha / 2)) * math.sqrt(ratio)
        return float(ndtr(drift - bound) + ndtr(-drift - bound))
    times = (np.arange(spending.STEPS) + 1) / spending.STEPS
    if design == "group_sequential":
        bounds = np.array(spending.table(question.alpha))
    else:
        sizes = n * times
        bounds = sequential.halfwidth(
            np.ones_like(sizes), 2 * sizes, question.alpha, question.tuning
        )
        bounds[sizes * question.events < _SURE] = np.inf
    # What is certain at one look needs no integration, what is impossible no look at all.
    if (drift * np.sqrt(times) - bounds > spending.CEILING).any():
        return 1.0
    bounds = np.minimum(bounds, drift + spending.CEILING)
    return float(spending.crossing(bounds, times, drift)[-1])


@cache
def inflation(alpha: float = 0.05, power: float = 0.8) -> float:
    """How many more recipients the twenty-step design may need than one look: about 1.05."""
    from scipy.optimize import brentq
    from scipy.special import ndtri

    times, bounds = (np.arange(spending.STEPS) + 1) / spending.STEPS, spending.table(alpha)
    base = float(-ndtri(alpha / 2) + ndtri(power))
    miss = lambda drift: float(spending.crossing(bounds, times, drift)[-1]) - power  # noqa: E731
    drift = brentq(miss, base * 0.9, base * 1.5)
    return float((drift / base) ** 2)  # pyright: ignore[reportOperatorIssue]


def remaining(
    effect: Effect, wanted: float, alpha: float = 0.05, power: float = 0.8,
    tuning: float | None = None, prior: bayes.Prior | None = None,
) -> float:  # fmt: skip
    """How many times the recipients so far must still be added to find the effect `wanted`.

    Args:
        effect: the running test's effect (its variance and recipients count, not its estimate).
        wanted: the effect to find, in the same unit.
        alpha: two-sided error probability.
        power: chance to find it.
        tuning: N* of an always-valid test; None means one look.
        prior: for a Bayesian reading with a prior; wins over `tuning`.
    """

    def chance(more: float) -> float:
        return _power(effect, abs(wanted), 1 + more, alpha, tuning, prior)

    return 0.0 if chance(0.0) >= power else _root(lambda more: chance(more) - power, 0.0)


def _power(
    effect: Effect, wanted: float, times: float, alpha: float,
    tuning: float | None, prior: bayes.Prior | None,
) -> float:  # fmt: skip
    from scipy.special import ndtr, ndtri

    z, now = float(-ndtri(alpha / 2)), effect.variance / times
    error, shift = np.sqrt(now), 0.0
    if prior is not None:
        width = z * now * np.sqrt(1 / prior.variance + 1 / now)
        shift = now * prior.mean / prior.variance
    elif tuning is not None:
        width = sequential.halfwidth(now, effect.n * times, alpha, tuning)
    else:
        width = z * error
    up, down = ndtr((wanted + shift - width) / error), ndtr(-(wanted + shift + width) / error)
    return float((up + down)[0])


def _root(miss: Callable[[float], float], low: float) -> float:
    """The point above `low` where a rising function reaches zero."""
    high = max(low * 2, 1.0)
    while miss(high) < 0:
        low, high = high, high * 2
        if high > _MOST:
            raise Problems(
                [Problem("effect", "is too small to be found by any number of recipients")]
            )
    return _crossed(miss, low, high)


def _crossed(miss: Callable[[float], float], low: float, high: float) -> float:
    """Where a function that is below zero at `low`, and not at `high`, reaches zero."""
    from scipy.optimize import brentq

    return float(brentq(miss, low, high, xtol=1e-12, rtol=1e-12))  # pyright: ignore[reportArgumentType]


def table(question: Question, sized: bool, n: float | None) -> list[dict[str, Any]]:
    """One row a design: recipients per arm for the effect, and what `n` recipients can do.

    Args:
        question: what is to be found.
        sized: whether the question names an effect.
        n: recipients per arm at hand, if any.

    Raises:
        Problems: arguments that cannot be.
    """
    if n is not None and n < 2:
        raise Problems([Problem("n", "must be at least 2 recipients per arm")])
    check(question if sized else replace(question, effect=_smallest(question)))
    rows = []
    for design in DESIGNS:
        row: dict[str, Any] = {"design": design}
        if sized:
            row["n_per_arm"] = int(np.ceil(recipients(question, design)))
        if n is not None:
            found = detectable(question, n, design)
            row |= {"n": n, "detectable_effect": found}
            row["detectable_lift"] = (
                found / abs(question.baseline) if found and question.baseline else None
            )
            if sized:
                row["power"] = achieved(question, n, design)
        rows.append(row)
    return rows


def _smallest(question: Question) -> float:
    spread = question.deviation
    return (1 - question.baseline) / 2 if spread is None else spread

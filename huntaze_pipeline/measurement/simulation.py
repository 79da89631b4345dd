"""What a rule really does: simulated two-arm tests, with peeking, delays and skewed amounts.

Measures how often each rule names a winner. Without a true effect every winner is false. Only used
to understand and to check rules; nothing here touches a real experiment.
"""

from dataclasses import dataclass

import numpy as np

from huntaze_pipeline.errors import Problem, Problems
from huntaze_pipeline.measurement import bayes, effects, evalue, moments, sequential, spending
from huntaze_pipeline.measurement.effects import Effect
from huntaze_pipeline.measurement.moments import Array, Moments

_BATCH = 2_000_000


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of test, repeated `runs` times."""

    rate: float = 0.05
    lift: float = 0.0
    """True relative effect of b on the rate of conversion."""
    n: int = 10_000
    """Recipients per arm at the end."""
    looks: int = 20
    runs: int = 2_000
    share: float = 0.5
    """Arm b's share of all recipients (2 n)."""
    skew: float | None = None
    """Sigma of lognormal amounts per conversion; None: yes/no values."""
    delay: tuple[float, float] | None = None
    """Mean delay from send to conversion per arm, in windows (0.5 = half of the window): one blast,
    looks spread over the window, everybody counted from the start."""
    alpha: float = 0.05
    tuning: float = sequential.TUNING
    seed: int = 1

    def check(self) -> None:
        """Refuse what cannot be simulated.

        Raises:
            Problems: every value out of its range.
        """
        rows = [
            ("rate", 0 < self.rate < 1, "must lie between 0 and 1"),
            ("lift", 0 < self.rate * (1 + self.lift) < 1, "makes arm b's rate leave 0..1"),
            ("n", self.n >= 2 * self.looks, "must be at least two recipients a look"),
            ("looks", 1 <= self.looks <= 1000, "must lie between 1 and 1000"),
            ("runs", 1 <= self.runs <= 1_000_000, "must lie between 1 and 1,000,000"),
            ("share", 0.01 <= self.share <= 0.99, "must lie between 0.01 and 0.99"),
            ("skew", self.skew is None or self.skew > 0, "must be positive"),
            ("skew", self.skew is None or self.delay is None, "cannot be combined with delay"),
            ("delay", self.delay is None or min(self.delay) > 0, "must be positive"),
            ("alpha", 0 < self.alpha < 0.5, "must lie between 0 and 0.5"),
        ]
        faults = [Problem(where, what) for where, right, what in rows if not right]
        if faults:
            raise Problems(faults)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How often a rule named a winner, and which."""

    rule: str
    winners: float
    b_wins: float
    stopped_at: float | None
    """Mean share of the test that was over when a winner was named."""
    overstated: float | None
    """Mean of measured over true lift where b won; None without a true effect or a win."""
    error: float
    """Standard error of `winners`: the simulation's own noise."""


def simulate(scenario: Scenario) -> list[Outcome]:
    """Run the scenario under every rule; the same seed gives the same table."""
    scenario.check()
    generator = np.random.default_rng(scenario.seed)
    per_batch = max(1, min(scenario.runs, _BATCH // scenario.looks))
    parts: dict[str, list[tuple[Array, Array]]] = {}
    left = scenario.runs
    while left > 0:
        runs = min(per_batch, left)
        a, b, conversions = _paths(scenario, runs, generator)
        for rule, verdict in _verdicts(scenario, a, b, conversions).items():
            parts.setdefault(rule, []).append(_first(verdict, effects.relative(a, b).estimate))
        left -= runs
    return [_outcome(rule, scenario, batches) for rule, batches in parts.items()]


def _paths(
    scenario: Scenario, runs: int, generator: np.random.Generator
) -> tuple[Moments, Moments, tuple[Array, Array]]:
    """Moments of both arms at every look (runs × looks), and their conversions."""
    arms, conversions = [], []
    total = 2 * scenario.n
    rates = scenario.rate, scenario.rate * (1 + scenario.lift)
    for arm, part in enumerate((1 - scenario.share, scenario.share)):
        sizes = np.round(total * part * np.arange(1, scenario.looks + 1) / scenario.looks)
        if scenario.delay is not None:
            hits = _delayed(
                sizes[-1], rates[arm], scenario.delay[arm], scenario.looks, runs, generator
            )
            sizes = np.full(scenario.looks, sizes[-1])
        else:
            step = np.diff(sizes, prepend=0).astype(int)
            hits = generator.binomial(step, rates[arm], (runs, scenario.looks)).astype(float)
        sums, squares = _amounts(hits, scenario.skew, generator)
        n = np.broadcast_to(sizes, (runs, scenario.looks))
        cumulated = np.cumsum(hits, axis=1).astype(float)
        conversions.append(cumulated)
        arms.append(
            moments.binary(n, cumulated)
            if scenario.skew is None
            else moments.general(n, np.cumsum(sums, axis=1), np.cumsum(squares, axis=1))
        )
    return arms[0], arms[1], (conversions[0], conversions[1])


def _delayed(
    n: float, rate: float, mean: float, looks: int, runs: int, generator: np.random.Generator
) -> Array:
    """New conversions per look of one blast; exponential delays, cut off at the window's end."""
    times = np.arange(looks + 1) / looks
    seen = -np.expm1(-times / mean)
    shares = np.diff(seen / seen[-1]) * rate
    draws = generator.multinomial(int(n), np.append(shares, 1 - shares.sum()), runs)
    return draws[:, :-1].astype(np.float64)


def _amounts(
    hits: Array, skew: float | None, generator: np.random.Generator
) -> tuple[Array, Array]:
    """Sum and sum of squares of the amounts of these conversions; lognormal with mean 1."""
    if skew is None:
        return hits, hits
    flat = hits.ravel().astype(int)
    values = generator.lognormal(-(skew**2) / 2, skew, int(flat.sum()))
    owner = np.repeat(np.arange(len(flat)), flat)
    sums = np.bincount(owner, values, len(flat)).reshape(hits.shape)
    squares = np.bincount(owner, values**2, len(flat)).reshape(hits.shape)
    return sums.astype(np.float64), squares.astype(np.float64)


def _verdicts(
    scenario: Scenario, a: Moments, b: Moments, conversions: tuple[Array, Array]
) -> dict[str, Array]:
    """Per rule, at each look: 1 when b is named, -1 when a is, 0 otherwise (runs × looks)."""
    effect, looks, alpha = effects.absolute(a, b), scenario.looks, scenario.alpha
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.nan_to_num(effect.estimate / effect.error, posinf=0, neginf=0)
    crit, last = _quantile(alpha / 2), np.arange(looks) == looks - 1
    side, rules = np.sign(z), {}
    rules["fixed, last look only"] = side * ((np.abs(z) >= crit) & last)
    rules["fixed, every look"] = side * (np.abs(z) >= crit)
    rules["Bayes P >= 95 %, every look"] = side * (np.abs(z) >= _quantile(0.05))
    rules["Bonferroni over looks"] = side * (np.abs(z) >= _quantile(alpha / 2 / looks))
    rules["group sequential (Lan-DeMets)"] = side * (np.abs(z) >= _bounds(scenario)[None, :])
    rules["always valid"] = _outside(effect, alpha, scenario.tuning)
    if scenario.skew is None:
        enough = np.minimum(*conversions) >= 25
        rules["always valid, >= 25 conversions"] = rules["always valid"] * enough
        share = np.full_like(z, scenario.share)
        e = evalue.evalue(conversions[0].ravel(), conversions[1].ravel(), share.ravel())
        rules["exact e-process"] = side * (e.reshape(z.shape) >= 1 / alpha)
    else:
        belief = bayes.posterior(effects.relative(a, b), bayes.Prior(0.0, 0.09))
        chance = np.nan_to_num(belief.chance_to_win, nan=0.5)
        named = np.where(chance >= 0.975, 1, np.where(chance <= 0.025, -1, 0))
        rules["Bayes N(0, 0.3²) on lift, P >= 97.5 %"] = named
    if scenario.delay is not None:
        rules["matured only, one test at the window's end"] = rules["fixed, last look only"]
    return rules


def _bounds(scenario: Scenario) -> Array:
    """The step table, used once per twentieth of the information."""
    steps = spending.STEPS
    fraction = (np.arange(scenario.looks) + 1) / scenario.looks
    reached = np.floor(fraction * steps + 1e-9).astype(int)
    new = np.diff(reached, prepend=0) > 0
    table = np.append(np.inf, spending.table(scenario.alpha))
    return np.where(new, table[reached], np.inf)


def _outside(effect: Effect, alpha: float, tuning: float) -> Array:
    width = sequential.halfwidth(effect.variance, effect.n, alpha, tuning)
    with np.errstate(invalid="ignore"):
        return np.sign(effect.estimate) * ((np.abs(effect.estimate) > width) & (width > 0))


def _quantile(tail: float) -> float:
    from scipy.special import ndtri

    return float(-ndtri(tail))


def _first(verdict: Array, lift: Array) -> tuple[Array, Array]:
    """Of each run: the first named arm with its look (signed, from 1; 0 for none), and the lift
    then.
    """
    named = verdict != 0
    look = np.argmax(named, axis=1)
    rows = np.arange(len(verdict))
    sign = np.where(named.any(axis=1), verdict[rows, look], 0)
    return sign * (look + 1), lift[rows, look]


def _outcome(rule: str, scenario: Scenario, batches: list[tuple[Array, Array]]) -> Outcome:
    signed = np.concatenate([part[0] for part in batches])
    lift = np.concatenate([part[1] for part in batches])
    won, right = signed != 0, signed > 0
    share = float(won.mean())
    judged = right & np.isfinite(lift)
    return Outcome(
        rule=rule,
        winners=share,
        b_wins=float(right.mean()),
        stopped_at=float(np.abs(signed[won]).mean() / scenario.looks) if won.any() else None,
        overstated=float(lift[judged].mean() / scenario.lift)
        if scenario.lift > 0 and judged.any()
        else None,
        error=float(np.sqrt(share * (1 - share) / len(signed))),
    )

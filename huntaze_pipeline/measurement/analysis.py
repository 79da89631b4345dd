"""Verdicts on thousands of finished experiments at once, from tables of arms.

One look: Welch's interval decides. Several looks: the always-valid interval does, and a winner
stays a winner from the first look that finds it. Running experiments are decided in `decision`.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from huntaze_pipeline.errors import Problem, Problems
from huntaze_pipeline.measurement import bayes, guardrail, pairs, sequential, srm
from huntaze_pipeline.measurement.counts import Counts
from huntaze_pipeline.measurement.moments import Array, Moments
from huntaze_pipeline.measurement.pairs import Pairs

Bools = NDArray[np.bool_]
Index = NDArray[np.intp]
Design = Literal["auto", "fixed", "always_valid"]
STATES = (
    "winner", "no_difference", "no_winner", "invalid_srm", "insufficient_data",
    "stopped_by_guardrail",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Config:
    """The rule, fixed before the numbers are seen."""

    alpha: float = 0.05
    tuning: float = sequential.TUNING
    prior: bayes.Prior | None = None
    """Of the lift, for display; None leaves the measured lift as it is."""
    margin: float | None = None
    """Absolute difference that does not matter; None: 'no_difference' is never claimed."""
    conversions: int = 25
    recipients: int = 100
    """The least of each that every arm must have."""
    design: Design = "auto"
    check_srm: bool = True
    guardrail_margin: float = 0.005
    """How much higher (absolute) a winner's rate of bad events may be."""

    def check(self) -> None:
        """Refuse what cannot be.

        Raises:
            Problems: every value out of its range.
        """
        rows = [
            ("alpha", 0 < self.alpha < 0.5, "must lie between 0 and 0.5"),
            ("tuning", self.tuning > 0, "must be positive"),
            ("prior", self.prior is None or self.prior.variance > 0, "must be positive"),
            ("margin", self.margin is None or self.margin > 0, "must be positive"),
            ("guardrail margin", self.guardrail_margin >= 0, "must not be negative"),
        ]
        faults = [Problem(where, what) for where, right, what in rows if not right]
        if faults:
            raise Problems(faults)


@dataclass(frozen=True, slots=True)
class Analysis:
    """Everything found, as arrays over arms, pairs and blocks; verdicts per experiment."""

    counts: Counts
    arms: Moments
    pairs: Pairs
    srm_p: Array
    srm_e: Array
    last: Index
    """Each experiment's last block: what is shown."""
    states: list[str]
    winners: list[str | None]
    reasons: list[str]


def analyze(counts: Counts, config: Config) -> Analysis:
    """Judge every experiment of a table."""
    config.check()
    arms, found = pairs.compare(counts, config.alpha, config.tuning, config.prior)
    srm_p = srm.pvalues(counts.n, counts.weight, counts.starts)
    srm_e = srm.evalues(counts.n, counts.weight, counts.starts)
    first, last = _spans(counts)
    deciding = _decisive(found, first, last, config)
    facts = _Facts(
        enough=_enough(counts, config),
        best=_best(counts, found, deciding),
        equal=_equal(counts, found, deciding, config.margin),
        harmed=_harmed(counts, config),
    )
    states, winners, reasons = _verdicts(counts, facts, srm_p, srm_e, first, last, config)
    return Analysis(counts, arms, found, srm_p, srm_e, last, states, winners, reasons)


@dataclass(frozen=True, slots=True)
class _Facts:
    enough: Bools
    best: Index
    """The arm that beats every other arm, per block; -1 for none."""
    equal: Bools
    harmed: Bools
    """Per arm: its bad events are not shown to stay within the margin."""


def _spans(counts: Counts) -> tuple[Index, Index]:
    """First and last block of each experiment."""
    names = counts.experiments
    if len(set(names)) == len(names):
        return np.arange(len(names)), np.arange(len(names))
    edge = [n for n, name in enumerate(names) if n == 0 or name != names[n - 1]]
    first = np.array(edge, dtype=np.intp)
    return first, np.append(first[1:], len(names)) - 1


def _decisive(compared: Pairs, first: Index, last: Index, config: Config) -> tuple[Array, Array]:
    """The interval that decides each pair."""
    many = np.repeat(last > first, last - first + 1)
    valid = many if config.design == "auto" else np.full(len(many), config.design == "always_valid")
    chosen = valid[compared.block]
    return (
        np.where(chosen, compared.valid_absolute.low, compared.fixed_absolute.low),
        np.where(chosen, compared.valid_absolute.high, compared.fixed_absolute.high),
    )


def _enough(counts: Counts, config: Config) -> Bools:
    # Yes/no values may come with their squares: then Σx² is Σx.
    yes_no = np.isnan(counts.squares) | (counts.squares == counts.sum)
    fine = (counts.n >= config.recipients) & (~yes_no | (counts.sum >= config.conversions))
    return np.logical_and.reduceat(fine, counts.starts)


def _best(counts: Counts, compared: Pairs, interval: tuple[Array, Array]) -> Index:
    low, high = interval
    wins = np.zeros(len(counts.n), dtype=np.intp)
    # Comparisons with NaN are false: an undefined interval beats nobody.
    np.add.at(wins, compared.b[low > 0], 1)
    np.add.at(wins, compared.a[high < 0], 1)
    champion = wins == np.repeat(counts.lengths - 1, counts.lengths)
    best = np.full(len(counts.starts), -1, dtype=np.intp)
    place = np.flatnonzero(champion)
    best[np.searchsorted(counts.starts, place, side="right") - 1] = place
    return best


def _equal(
    counts: Counts, compared: Pairs, interval: tuple[Array, Array], margin: float | None
) -> Bools:
    if margin is None:
        return np.zeros(len(counts.starts), dtype=bool)
    inside = (interval[0] > -margin) & (interval[1] < margin)
    within = np.ones(len(counts.starts), dtype=bool)
    np.logical_and.at(within, compared.block, inside)
    return within


def _harmed(counts: Counts, config: Config) -> Bools:
    """One-sided non-inferiority of each arm's bad events against the control's."""
    if np.isnan(counts.guardrail).all():
        return np.zeros(len(counts.n), dtype=bool)
    bad, n = np.nan_to_num(counts.guardrail), counts.n
    control = np.repeat(counts.starts, counts.lengths)
    high = guardrail.highest(bad[control], n[control], bad, n, config.alpha)
    given = ~np.isnan(counts.guardrail) & (control != np.arange(len(control)))
    return given & (high > config.guardrail_margin)


def _verdicts(
    counts: Counts, facts: _Facts, srm_p: Array, srm_e: Array, first: Index, last: Index,
    config: Config,
) -> tuple[list[str], list[str | None], list[str]]:  # fmt: skip
    """State, winner and why, of every experiment: the first of these that holds.

    A wrong split; a winner at the first look that has one (or the harm that it does); too little at
    the last look, or a row that cannot be read at any; no difference; none.
    """
    experiment = np.repeat(np.arange(len(first)), last - first + 1)
    worst = np.maximum.reduceat(srm_e, first)
    invalid = config.check_srm & ((srm_p[last] < srm.P_LIMIT) | (worst >= srm.E_LIMIT))
    decided = np.flatnonzero((facts.best >= 0) & facts.enough)
    block = np.full(len(first), -1, dtype=np.intp)
    block[experiment[decided[::-1]]] = decided[::-1]  # written last: each experiment's first
    names = [counts.experiments[n] for n in last.tolist()] if counts.unread else []
    unread = np.array([name in counts.unread for name in names] or [False] * len(last))
    arm = np.where((block >= 0) & ~unread, facts.best[block], -1)
    harmed = (arm >= 0) & facts.harmed[arm]
    cases = [invalid, harmed, arm >= 0, ~facts.enough[last] | unread, facts.equal[last]]
    code = np.select(cases, range(len(cases)), len(cases))
    states = np.array(_ORDER, dtype=object)[code].tolist()
    winners: list[str | None] = [None] * len(first)
    reasons = np.array(_reasons(config), dtype=object)[code].tolist()
    for n in np.flatnonzero(code == 2).tolist():
        winners[n] = counts.variants[arm[n]]
    for n in np.flatnonzero(unread & ~invalid).tolist():
        reasons[n] = f"no verdict: {counts.unread[names[n]]} could not be used"
    for n in np.flatnonzero(code == 1).tolist():
        reasons[n] = f"{counts.variants[arm[n]]} wins, but {reasons[n]}"
    wrong = np.flatnonzero(invalid)
    # Plain floats: formatting NumPy's own is ten times slower.
    for n, *told in zip(
        *(x.tolist() for x in (wrong, srm_p[last][wrong], worst[wrong])), strict=True
    ):
        reasons[n] = _SPLIT.format(*told)
    for n in np.flatnonzero((last > first) & (arm >= 0) & ~harmed & ~invalid).tolist():
        reasons[n] += f" at look {counts.looks[block[n]]}"
    return states, winners, reasons


_SPLIT = (
    "the split of recipients is not the planned one (p {:.2g}, e {:.3g});"
    " planned weights can be given in a weight column"
)
_ORDER = (
    "invalid_srm", "stopped_by_guardrail", "winner", "insufficient_data", "no_difference",
    "no_winner",
)  # fmt: skip
"""End states, in the order in which they are asked for."""


def _reasons(config: Config) -> tuple[str, ...]:
    """Why, for each of `_ORDER`."""
    return (
        "",
        f"its bad events may exceed the control's by more than {config.guardrail_margin:g}",
        "its lower bound is above every other arm",
        f"an arm has fewer than {config.recipients} recipients or {config.conversions} conversions",
        "" if config.margin is None else f"every difference lies within ±{config.margin:g}",
        "no arm is shown to beat every other arm",
    )

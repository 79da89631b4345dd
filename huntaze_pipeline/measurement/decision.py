"""The decision on running experiments, look by look. Pure: counts, plan, looks so far and now.

Planned size known: group-sequential looks at every twentieth of it (Lan–DeMets, O'Brien–Fleming),
each step taken once. Open-ended: always-valid, one look an hour. A closed decision never changes,
and running an hour again gives the same look. Thousands are decided together, as arrays.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

import numpy as np

from huntaze_pipeline.measurement import evidence, guardrail, spending, srm
from huntaze_pipeline.measurement.evidence import Arm, Pair
from huntaze_pipeline.measurement.plan import Look, Method, Plan, check

VERSION = "3"
"""Changes whenever the same counts could lead to another decision; kept with every look."""
STOPPED = spending.STEPS + 1
"""Step of a group-sequential test that was stopped between its steps (split or guardrail)."""
RARE = 0.01
"""An open-ended yes/no test whose rate over all arms is below this is decided exactly."""


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that a look is a function of, besides the moment."""

    arms: Sequence[Arm]
    """Matured and assigned counts, the control first; at least two variants."""
    plan: Plan
    """The rule, as it was when the experiment started."""
    history: Sequence[Look] = ()
    """The looks so far, oldest first."""


def decide(arms: Sequence[Arm], plan: Plan, history: Sequence[Look], now: datetime) -> Look:
    """Look at one running experiment, as `decide_all` does at many."""
    return decide_all([Case(arms, plan, history)], now)[0]


def decide_all(cases: Sequence[Case], now: datetime) -> list[Look]:
    """Look at running experiments.

    Args:
        cases: any number of them.
        now: the moment of the looks, aware UTC.

    Returns:
        Per case a new look, or the last one when its step is already taken or it is closed.

    Raises:
        Problems: counts that cannot be, each with its arm.
    """
    for case in cases:
        check(case.arms, case.plan)
    open_ones = [case for case in cases if not (case.history and case.history[-1].closed)]
    stages = [_Stage(case, now) for case in open_ones]
    _screen(stages)
    looking = [stage for stage in stages if stage.stopped() is None and stage.evaluates()]
    _compare(looking)
    found = iter(stages)
    return [
        case.history[-1] if case.history and case.history[-1].closed else next(found).outcome()
        for case in cases
    ]


def _screen(stages: "Sequence[_Stage]") -> None:
    """Split and harm of all of them at once."""
    if not stages:
        return
    groups = [stage.arms for stage in stages]
    over = np.array([stage.over for stage in stages])
    chances = zip(
        stages, evidence.splits(groups).tolist(), evidence.final_splits(groups).tolist(),
        guardrail.bounds(groups, _settings(stages)[0], over), strict=True,
    )  # fmt: skip
    for stage, e_value, p_value, harm in chances:
        stage.result["srm_e"], stage.split_p, stage.harm = e_value, p_value, harm


def _compare(stages: "Sequence[_Stage]") -> None:
    """The pairs of all of them, method by method."""
    for method in ("group_sequential", "always_valid", "exact"):
        mine = [stage for stage in stages if stage.method == method]
        groups = [stage.arms for stage in mine]
        alpha, tuning = _settings(mine)
        if method == "group_sequential":
            pairs = evidence.normal(groups, np.array([stage.bound() for stage in mine]))
        elif method == "always_valid":
            pairs = evidence.always_valid(groups, alpha, tuning)
        else:
            pairs = evidence.exact(groups, alpha)
        for stage, own in zip(mine, pairs, strict=True):
            stage.pairs = own if method == "group_sequential" else stage.running(own)


def _settings(stages: "Sequence[_Stage]") -> tuple[np.ndarray, np.ndarray]:
    alpha = np.array([stage.plan.alpha for stage in stages], dtype=float)
    return alpha, np.array([stage.plan.tuning for stage in stages], dtype=float)


class _Stage:
    """One experiment at one moment: what is known and which step it is."""

    def __init__(self, case: Case, now: datetime) -> None:
        self.arms, self.plan, self.history, self.now = case.arms, case.plan, case.history, now
        plan = self.plan
        self.method = _method(case)
        self.n = sum(arm.n for arm in self.arms)
        ended = plan.ends_at is not None and now >= plan.ends_at
        full = plan.planned_n is not None and self.n >= plan.planned_n
        self.young = now < plan.started_at + plan.minimum and not ended
        self.over = ended or (full and not self.young)
        self.enough = _enough(self.arms, plan)
        self.step = self._step()
        self.harm: dict[str, tuple[float, float]] = {}
        self.split_p = 1.0
        self.pairs: list[Pair] = []
        self.result: dict[str, Any] = {
            "version": VERSION, "method": self.method, "matured": self.n,
        }  # fmt: skip

    def _step(self) -> int:
        if self.method != "group_sequential":
            return int((self.now - self.plan.started_at) / self.plan.every)
        if self.over:
            return spending.STEPS
        if self.young or not self.enough:
            return 0
        planned = self.plan.planned_n or self.n
        return min(int(self.n / planned * spending.STEPS + 1e-9), spending.STEPS - 1)

    def outcome(self) -> Look:
        """The new look, or the last one when its step is taken."""
        stopped = self.stopped()
        if stopped is not None:
            return stopped
        if self._taken():
            return self.history[-1]
        return self._verdict(self.pairs) if self.evaluates() else self._waits()

    def stopped(self) -> Look | None:
        """A stop that need not wait for a step: wrong split, or harm that is certain."""
        step = STOPPED if self.method == "group_sequential" else self.step
        if self.result["srm_e"] >= srm.E_LIMIT:
            return self._end("invalid_srm", "the split of recipients is not the planned one", step)
        for name, (low, _) in self.harm.items():
            if low > self.plan.guardrail_margin:
                text = f"{name}: bad events exceed the control's by more than the margin"
                return self._end("stopped_by_guardrail", text, step)
        return None

    def _taken(self) -> bool:
        return bool(self.history) and self.step <= self.history[-1].step

    def _empty(self) -> bool:
        matured = dict.fromkeys(evidence.names(self.arms), 0)
        for arm in self.arms:
            matured[arm.id] += arm.n
        return not all(matured.values())

    def evaluates(self) -> bool:
        """Whether this look compares the arms."""
        if self._taken() or self._empty() or self.young or not self.enough:
            return False
        return self.method != "group_sequential" or self.step > 0

    def _waits(self) -> Look:
        """A look that finds too little to compare."""
        if self._empty():
            if not self.over:
                return self._end("maturing", "no recipient's window has passed in some arm")
            return self._end("insufficient_data", "an arm has no matured recipients")
        if not self.enough and self.over:
            return self._end("insufficient_data", "an arm has too few recipients or conversions")
        return self._end("running", "too early to look")

    def bound(self) -> float:
        """Boundary of this group-sequential step; the last one spends what is left of alpha."""
        time, bound = self._bound()
        self.result |= {"information": time, "bound": bound}
        return bound

    def _bound(self) -> tuple[float, float]:
        table = spending.table(self.plan.alpha)
        if not self.over:
            return self.step / spending.STEPS, table[self.step - 1]
        time = min(self.n / (self.plan.planned_n or self.n), 1.0)
        taken = [look.step for look in self.history if "bound" in look.result]
        taken = [step for step in taken if step / spending.STEPS < time - 1e-9]
        bounds = [table[step - 1] for step in taken]
        times = [step / spending.STEPS for step in taken]
        return time, spending.closing(bounds, times, time, self.plan.alpha)

    def running(self, pairs: list[Pair]) -> list[Pair]:
        """The largest e-value and the common part of the intervals of all looks so far."""
        self.result["bound"] = 1 / self.plan.alpha
        before = {}
        for look in self.history:
            for old in look.result.get("pairs", []):
                before[old["a"], old["b"]] = old
        return [_kept(pair, before.get((pair.a, pair.b))) for pair in pairs]

    def _verdict(self, pairs: list[Pair]) -> Look:
        self.result["pairs"] = [_plain(pair) for pair in pairs]
        self.result["best"] = self._best(pairs)
        winner = self._winner(pairs)
        if winner is not None:
            high = self.harm.get(winner, (0.0, 0.0))[1]
            if high <= self.plan.guardrail_margin:
                return self._won(winner)
            if self.over:
                text = f"{winner} wins, but its bad events are not shown to be within the margin"
                return self._end("stopped_by_guardrail", text)
            return self._end("running", f"{winner} leads; its guardrail is not settled yet")
        if self._same(pairs):
            return self._end("no_difference", f"all differences lie within ±{self.plan.margin:g}")
        if self.over:
            return self._end("no_winner", "the test is over and no arm beats every other arm")
        return self._end("running", "no arm beats every other arm yet")

    def _won(self, winner: str) -> Look:
        if self.over and self.split_p < srm.P_LIMIT:
            return self._end("invalid_srm", "the split of recipients is not the planned one")
        look = self._end("winner", "its lower bound is above every other arm")
        return replace(look, winner=winner, fallback=None)

    def _winner(self, pairs: list[Pair]) -> str | None:
        """The arm that beats every other arm."""
        wins = dict.fromkeys(evidence.names(self.arms), 0)
        for pair in pairs:
            ahead = self._ahead(pair)
            if ahead is not None:
                wins[ahead] += 1
        return next((name for name, count in wins.items() if count == len(wins) - 1), None)

    def _ahead(self, pair: Pair) -> str | None:
        bound = self.result["bound"]
        if self.method == "group_sequential":
            strong = pair.z is not None and abs(pair.z) >= bound
            return (pair.b if (pair.z or 0) > 0 else pair.a) if strong else None
        if pair.low is not None and pair.low > 0:
            return pair.b
        return pair.a if pair.high is not None and pair.high < 0 else None

    def _same(self, pairs: list[Pair]) -> bool:
        margin = self.plan.margin
        if margin is None or self.method == "exact":
            return False
        return all(
            pair.low is not None
            and pair.high is not None
            and -margin < pair.low <= pair.high < margin
            for pair in pairs
        )

    def _best(self, pairs: list[Pair]) -> str:
        """The arm with the highest estimate: the control plus its difference."""
        control, *others = evidence.names(self.arms)
        gain = {pair.b: pair.estimate or 0.0 for pair in pairs if pair.a == control}
        return max([control, *others], key=lambda name: gain.get(name, 0.0))

    def _end(self, state: str, reason: str, step: int | None = None) -> Look:
        look = Look(
            experiment_id=self.plan.experiment_id, step=self.step if step is None else step,
            state=state, reason=reason, counts=[_plain(arm) for arm in self.arms],
            result=self.result, looked_at=self.now,
        )  # fmt: skip
        return replace(look, fallback=self._fallback(state)) if look.closed else look

    def _fallback(self, state: str) -> str | None:
        """What is sent instead of a winner; a test nobody can trust falls back to its control."""
        declared, known = self.plan.fallback, evidence.names(self.arms)
        if declared in known and state != "stopped_by_guardrail":
            return declared
        if declared == "none" and declared not in known:
            return None
        trusted = state in ("no_winner", "no_difference") and "best" in self.result
        return self.result["best"] if declared == "highest" and trusted else known[0]


def _method(case: Case) -> Method:
    """The method of a test; what the first look chose stays."""
    arms, plan = case.arms, case.plan
    if plan.method is not None:
        return plan.method
    if plan.planned_n is not None:
        return "group_sequential"
    chosen = next((x.result["method"] for x in case.history if "pairs" in x.result), None)
    if chosen is not None or any(arm.squares is not None for arm in arms):
        return chosen or "always_valid"
    weights = [arm.weight for arm in arms]
    rare = sum(arm.sum for arm in arms) < RARE * sum(arm.n for arm in arms)
    return "exact" if rare or max(weights) > 1.5 * min(weights) else "always_valid"


def _enough(arms: Sequence[Arm], plan: Plan) -> bool:
    totals = {name: [0.0, 0.0] for name in evidence.names(arms)}
    for arm in arms:
        totals[arm.id][0] += arm.n
        hits = plan.conversions if arm.hits is None else arm.hits
        totals[arm.id][1] += arm.sum if arm.squares is None else hits
    return all(n >= plan.recipients and hits >= plan.conversions for n, hits in totals.values())


def _plain(row: Arm | Pair) -> dict[str, Any]:
    return {field.name: getattr(row, field.name) for field in fields(row)}


def _kept(pair: Pair, before: dict[str, Any] | None) -> Pair:
    if before is None:
        return pair
    return replace(
        pair,
        e=_extreme(max, pair.e, before["e"]),
        low=_extreme(max, pair.low, before["low"]),
        high=_extreme(min, pair.high, before["high"]),
    )


def _extreme(
    pick: Callable[[float, float], float], now: float | None, old: float | None
) -> float | None:
    return pick(now, old) if now is not None and old is not None else now if old is None else old

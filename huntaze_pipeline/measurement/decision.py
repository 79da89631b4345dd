"""The decision on one running experiment, look by look. Pure: counts, plan, looks so far and now.

Planned size known: group-sequential looks at every twentieth of it (Lan–DeMets, O'Brien–Fleming),
each step taken once. Open-ended: always-valid, one look an hour. A closed decision never changes,
and running an hour again gives the same look.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from huntaze_pipeline.measurement import evidence, spending, srm
from huntaze_pipeline.measurement.evidence import Arm, Pair
from huntaze_pipeline.measurement.plan import Look, Method, Plan, check

VERSION = "1"
"""Changes whenever the same counts could lead to another decision; kept with every look."""
STOPPED = spending.STEPS + 1
"""Step of a group-sequential test that was stopped between its steps (split or guardrail)."""


def decide(arms: Sequence[Arm], plan: Plan, history: Sequence[Look], now: datetime) -> Look:
    """Look at a running experiment.

    Args:
        arms: matured and assigned counts, the control first; at least two variants.
        plan: the rule, as it was when the experiment started.
        history: the looks so far, oldest first.
        now: the moment of this look, aware UTC.

    Returns:
        A new look, or the last one when its step is already taken or the decision is closed.

    Raises:
        Problems: counts that cannot be, each with its arm.
    """
    check(arms, plan)
    last = history[-1] if history else None
    if last is not None and last.closed:
        return last
    stage = _Stage(arms, plan, history, now)
    stopped = stage.stopped()
    if stopped is not None:
        return stopped
    if last is not None and stage.step <= last.step:
        return last
    return stage.look()


class _Stage:
    """One call of `decide`: what is known and which step it is."""

    def __init__(
        self, arms: Sequence[Arm], plan: Plan, history: Sequence[Look], now: datetime
    ) -> None:
        self.arms, self.plan, self.history, self.now = arms, plan, history, now
        self.method = _method(arms, plan)
        self.n = sum(arm.n for arm in arms)
        ended = plan.ends_at is not None and now >= plan.ends_at
        full = plan.planned_n is not None and self.n >= plan.planned_n
        self.young = now < plan.started_at + plan.minimum and not ended
        self.over = ended or (full and not self.young)
        self.enough = _enough(arms, plan)
        self.step = self._step()
        self.result: dict[str, Any] = {
            "version": VERSION, "method": self.method, "matured": self.n,
            "srm_e": evidence.split(arms),
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

    def stopped(self) -> Look | None:
        """A stop that need not wait for a step: wrong split, or harm that is certain."""
        step = STOPPED if self.method == "group_sequential" else self.step
        if self.result["srm_e"] >= srm.E_LIMIT:
            return self._end("invalid_srm", "the split of recipients is not the planned one", step)
        for name, (low, _) in self._harm().items():
            if low > self.plan.guardrail_margin:
                text = f"{name}: bad events exceed the control's by more than the margin"
                return self._end("stopped_by_guardrail", text, step)
        return None

    def look(self) -> Look:
        """Evaluate this step."""
        if any(not any(a.n for a in self.arms if a.id == x) for x in evidence.names(self.arms)):
            if not self.over:
                return self._end("maturing", "no recipient's window has passed in some arm")
            return self._end("insufficient_data", "an arm has no matured recipients")
        if not self.enough and self.over:
            return self._end("insufficient_data", "an arm has too few recipients or conversions")
        if self.young or not self.enough or (self.method == "group_sequential" and not self.step):
            return self._end("running", "too early to look")
        return self._verdict(self._pairs())

    def _pairs(self) -> list[Pair]:
        plan = self.plan
        if self.method == "group_sequential":
            time, bound = self._bound()
            self.result |= {"information": time, "bound": bound}
            return evidence.normal(self.arms, bound)
        self.result["bound"] = 1 / plan.alpha
        if self.method == "exact":
            return self._running(evidence.exact(self.arms, plan.alpha))
        return self._running(evidence.always_valid(self.arms, plan.alpha, plan.tuning))

    def _bound(self) -> tuple[float, float]:
        """Information fraction and boundary of this step; the last one spends what is left."""
        table = spending.table(self.plan.alpha)
        if not self.over:
            return self.step / spending.STEPS, table[self.step - 1]
        time = min(self.n / (self.plan.planned_n or self.n), 1.0)
        taken = [look.step for look in self.history if "bound" in look.result]
        taken = [step for step in taken if step / spending.STEPS < time - 1e-9]
        bounds = [table[step - 1] for step in taken]
        times = [step / spending.STEPS for step in taken]
        return time, spending.closing(bounds, times, time, self.plan.alpha)

    def _running(self, pairs: list[Pair]) -> list[Pair]:
        """The largest e-value and the common part of the intervals of all looks so far."""
        before = {}
        for look in self.history:
            for old in look.result.get("pairs", []):
                before[old["a"], old["b"]] = old
        return [_kept(pair, before.get((pair.a, pair.b))) for pair in pairs]

    def _verdict(self, pairs: list[Pair]) -> Look:
        self.result["pairs"] = [asdict(pair) for pair in pairs]
        self.result["best"] = self._best(pairs)
        winner = self._winner(pairs)
        if winner is not None:
            high = self._harm().get(winner, (0.0, 0.0))[1]
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
        if self.over and evidence.final_split(self.arms) < srm.P_LIMIT:
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

    def _harm(self) -> dict[str, tuple[float, float]]:
        matured = all(arm.n > 0 for arm in self.arms)
        return evidence.harm(self.arms, self.plan.alpha, self.plan.tuning) if matured else {}

    def _end(self, state: str, reason: str, step: int | None = None) -> Look:
        look = Look(
            experiment_id=self.plan.experiment_id, step=self.step if step is None else step,
            state=state, reason=reason, counts=[asdict(arm) for arm in self.arms],
            result=self.result, looked_at=self.now,
        )  # fmt: skip
        return replace(look, fallback=self._fallback(state)) if look.closed else look

    def _fallback(self, state: str) -> str | None:
        """What is sent instead of a winner; a test nobody can trust falls back to its control."""
        if self.plan.fallback == "none":
            return None
        trusted = state in ("no_winner", "no_difference") and "best" in self.result
        if self.plan.fallback == "highest" and trusted:
            return self.result["best"]
        return evidence.names(self.arms)[0]


def _method(arms: Sequence[Arm], plan: Plan) -> Method:
    if plan.method is not None:
        return plan.method
    if plan.planned_n is not None:
        return "group_sequential"
    weights = [arm.weight for arm in arms]
    unequal = max(weights) > 1.5 * min(weights)
    return "exact" if unequal and all(arm.squares is None for arm in arms) else "always_valid"


def _enough(arms: Sequence[Arm], plan: Plan) -> bool:
    totals = {name: [0.0, 0.0] for name in evidence.names(arms)}
    for arm in arms:
        totals[arm.id][0] += arm.n
        totals[arm.id][1] += arm.sum if arm.squares is None else plan.conversions
    return all(n >= plan.recipients and hits >= plan.conversions for n, hits in totals.values())


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

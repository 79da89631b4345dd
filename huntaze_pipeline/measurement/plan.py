"""The rule of one running experiment, fixed before it starts, and the looks it leaves behind.

Nothing is computed here; `decision` turns counts, a plan and the looks so far into the next look.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from huntaze_pipeline.errors import Problem, Problems
from huntaze_pipeline.measurement import evidence, sequential
from huntaze_pipeline.measurement.evidence import Arm

RUNNING = ("running", "maturing")
Method = Literal["group_sequential", "always_valid", "exact"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The rule of one experiment, fixed before it starts."""

    experiment_id: str
    started_at: datetime
    ends_at: datetime | None = None
    """When it is over whatever was found: last send + window, or a date. None: when planned_n is
    in.
    """
    planned_n: int | None = None
    """Recipients in all arms together; None: open-ended."""
    method: Method | None = None
    """None: group sequential when planned_n is known; else exact for yes/no values that are rare or
    in unequal arms; else always valid."""
    alpha: float = 0.05
    tuning: float = sequential.TUNING
    margin: float | None = None
    """Absolute difference that does not matter."""
    conversions: int = 25
    recipients: int = 100
    minimum: timedelta = timedelta(days=1)
    """No verdict earlier than this after the start."""
    every: timedelta = timedelta(hours=1)
    """How often an open-ended test is looked at."""
    guardrail_margin: float = 0.01
    """How much higher (absolute) a winner's rate of bad events may be."""
    fallback: str = "control"
    """What is sent when nothing won: control, highest, none or a variant's id; never called a
    winner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One evaluation, kept whole."""

    experiment_id: str
    step: int
    state: str
    """running | maturing | one of the six end states of `analysis.STATES`"""
    reason: str
    winner: str | None = None
    fallback: str | None = None
    counts: list[dict[str, Any]]
    result: dict[str, Any]
    looked_at: datetime

    @property
    def closed(self) -> bool:
        """Whether this decision is the last one."""
        return self.state not in RUNNING


def check(arms: Sequence[Arm], plan: Plan) -> None:
    """Refuse counts and plans that cannot be.

    Raises:
        Problems: every fault, with its arm.
    """
    faults = []
    if len(evidence.names(arms)) < 2:
        faults.append(Problem(f"experiment {plan.experiment_id}", "needs at least two variants"))
    if not 0 < plan.alpha < 0.5:
        faults.append(Problem("alpha", f"is {plan.alpha}: must lie between 0 and 0.5"))
    if plan.planned_n is not None and plan.planned_n <= 0:
        faults.append(Problem("planned_n", f"is {plan.planned_n}: must be above 0"))
    if plan.method == "exact" and any(arm.squares is not None for arm in arms):
        faults.append(Problem("method", "exact is for yes/no values; these arms hold amounts"))
    for arm in arms:
        what = _fault(arm)
        if what:
            faults.append(Problem(f"experiment {plan.experiment_id}, variant {arm.id}", what))
    if faults:
        raise Problems(faults)


def _fault(arm: Arm) -> str | None:
    if arm.n < 0 or arm.assigned < arm.n:
        return f"{arm.n} matured of {arm.assigned} assigned: matured recipients are assigned ones"
    if arm.weight < 0:
        return f"weight is {arm.weight}: must not be negative"
    if arm.squares is None and not 0 <= arm.sum <= arm.n:
        return f"{arm.sum:g} conversions of {arm.n}: give squares for amounts"
    if arm.squares is not None and arm.squares * arm.n < arm.sum**2 * (1 - 1e-9):
        return "the sum of squares is below sum²/n: impossible"
    if arm.hits is not None and not 0 <= arm.hits <= arm.n:
        return f"{arm.hits} recipients above zero of {arm.n}"
    if arm.bad is not None and not 0 <= arm.bad <= arm.n:
        return f"{arm.bad} bad events of {arm.n} recipients"
    return None

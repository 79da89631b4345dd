"""What the tests of rule files never tried: steps not taken, conditions that were never false.

An automation has *ways*: entering and staying out, each step taken, each conditional step passed
over, and every way behind a step that chooses; those of a campaign are `reach`'s. A way is covered
when some test's story goes it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from huntaze_pipeline.rehearsal import reach
from huntaze_pipeline.rehearsal.outcome import Outcome
from huntaze_pipeline.rehearsal.reach import Reach
from huntaze_pipeline.rulebook import flow
from huntaze_pipeline.rulebook.flow import Op
from huntaze_pipeline.rulebook.loader import Draft
from huntaze_pipeline.rulebook.policies import Policies
from huntaze_pipeline.rulebook.schema import Automation, Campaign, Template
from huntaze_pipeline.rulebook.steps import ACTS

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Way:
    """One way through a rule, and where it is written."""

    rule: str
    path: Path
    what: str
    """In words, as what a test would have to do."""
    kind: str
    step: int | None = None
    reason: str | None = None

    def gone(self, outcome: Outcome) -> bool:
        """Say whether an outcome goes this way."""
        if outcome.rule != self.rule or outcome.step != self.step:
            return False
        reason = outcome.detail.get("reason")
        if self.kind in ACTS:
            tried = outcome.kind == "skip" and reason != "conditions"
            return tried or outcome.kind == self.kind
        return outcome.kind == self.kind and self.reason in (None, reason)


@dataclass(frozen=True)
class Covered:
    """The ways of one rule, those gone and those not."""

    rule: str
    gone: Sequence[Way | Reach]
    missed: Sequence[tuple[Way | Reach, str]]
    """With the place in the file, as `file:line:column`."""

    @property
    def share(self) -> float:
        """The part of the ways that was gone."""
        total = len(self.gone) + len(self.missed)
        return len(self.gone) / total if total else 1.0


def ways(name: str, rule: Automation) -> list[Way]:
    """Return every way through an automation."""
    found = [Way(name, ("trigger",), "nobody enters", "enter")]
    if rule.conditions:
        what = "nobody stays out because of the conditions"
        found.append(Way(name, ("conditions",), what, "out", None, "conditions"))
    if rule.entry.once or rule.entry.every or rule.entry.per:
        found.append(
            Way(name, ("entry",), "nobody is kept from entering again", "out", None, "entry")
        )
    if rule.exit is not None:
        found.append(Way(name, ("exit",), "nobody reaches the goal", "exit", None, "goal"))
    if rule.holdout:
        found.append(Way(name, ("holdout",), "nobody is held out", "hold"))
    for op in flow.program(rule):
        found += _acts(name, op) if op.acts else _choices(name, op)
    return found


def _acts(name: str, op: Op) -> list[Way]:
    found = [Way(name, op.path, f"this {op.kind} is never taken", op.kind, op.position)]
    if op.step.conditions:
        what = f"this {op.kind} is never passed over"
        path = (*op.path, "conditions")
        found.append(Way(name, path, what, "skip", op.position, "conditions"))
    return found


def _choices(name: str, op: Op) -> list[Way]:
    """Return the ways behind a step that chooses; a plain wait has none."""
    words: list[str] = []
    if op.kind == "if":
        words = ["then", "else"]
    elif op.kind == "split":
        ways_ = enumerate(op.step.split or ())
        words = [way.id or str(i) for i, way in ways_ if way.weight > 0]
    elif op.awaits:
        words = ["event", "timeout"]
    elif op.kind == "exit" and op.step.exit is not True:
        words = ["exit", "stays"]
    return [
        Way(name, op.path, f"this {op.kind} never goes the way {word!r}", "way", op.position, word)
        for word in words
    ]


def measure(draft: Draft, stories: Iterable[Sequence[Outcome]]) -> list[Covered]:
    """Return how far stories cover the automations and the campaigns."""
    outcomes = [outcome for story in stories for outcome in story]
    found = []
    for (kind, name), all_ways in _every(draft).items():
        source = draft.sources[kind, name]
        gone = [way for way in all_ways if any(map(way.gone, outcomes))]
        missed = [(w, source.problem(w.path, "").where) for w in all_ways if w not in gone]
        found.append(Covered(name, gone, missed))
    return found


def _every(draft: Draft) -> dict[tuple[str, str], Sequence[Way | Reach]]:
    """Return the ways of each rule that has some."""
    found: dict[tuple[str, str], Sequence[Way | Reach]] = {}
    templates = cast(dict[str, Template], draft.rules["templates"])
    for name, rule in sorted(draft.rules["automations"].items()):
        found["automations", name] = ways(name, cast(Automation, rule))
    if draft.policies is not None:
        policies = Policies(draft.policies)
        for name, rule in sorted(draft.rules["campaigns"].items()):
            made = reach.ways(name, cast(Campaign, rule), templates, policies)
            found["campaigns", name] = made
    return found


def total(covered: Iterable[Covered]) -> float:
    """Return the part of all ways that was gone."""
    rows = list(covered)
    gone = sum(len(row.gone) for row in rows)
    count = gone + sum(len(row.missed) for row in rows)
    return gone / count if count else 1.0

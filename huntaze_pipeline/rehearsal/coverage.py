"""What the tests of rule files never tried: steps not taken, conditions that were never false.

A rule has *ways*: entering and staying out, each step taken, each conditional step passed over. A
way is covered when some test's story goes it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from huntaze_pipeline.rehearsal.outcome import Outcome
from huntaze_pipeline.rulebook.loader import Draft
from huntaze_pipeline.rulebook.schema import Automation

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
        kinds = ("send", "skip") if self.kind == "send" else (self.kind,)
        if outcome.rule != self.rule or outcome.kind not in kinds or outcome.step != self.step:
            return False
        reason = outcome.detail.get("reason")
        if self.kind == "send":
            return outcome.kind == "send" or reason != "conditions"
        return self.reason is None or reason == self.reason


@dataclass(frozen=True)
class Covered:
    """The ways of one rule, those gone and those not."""

    rule: str
    gone: Sequence[Way]
    missed: Sequence[tuple[Way, str]]
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
    for i, action in enumerate(rule.actions):
        path: Path = ("actions", i)
        found.append(Way(name, path, f"step {i + 1} is never taken", "send", i))
        if action.conditions:
            what = f"step {i + 1} is never passed over"
            found.append(Way(name, (*path, "conditions"), what, "skip", i, "conditions"))
    return found


def measure(draft: Draft, stories: Iterable[Sequence[Outcome]]) -> list[Covered]:
    """Return how far stories cover the automations."""
    outcomes = [outcome for story in stories for outcome in story]
    rules: Mapping[str, object] = draft.rules["automations"]
    found = []
    for name, rule in sorted(rules.items()):
        assert isinstance(rule, Automation)
        all_ways, source = ways(name, rule), draft.sources["automations", name]
        gone = [way for way in all_ways if any(map(way.gone, outcomes))]
        missed = [(w, source.problem(w.path, "").where) for w in all_ways if w not in gone]
        found.append(Covered(name, gone, missed))
    return found


def total(covered: Iterable[Covered]) -> float:
    """Return the part of all ways that was gone."""
    rows = list(covered)
    gone = sum(len(row.gone) for row in rows)
    count = gone + sum(len(row.missed) for row in rows)
    return gone / count if count else 1.0

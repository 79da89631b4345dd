"""Running the tests of rule files: which there are, what came of each, and what they covered."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from huntaze_pipeline.errors import NotFoundError, Problem
from huntaze_pipeline.rehearsal import rendering, verdict
from huntaze_pipeline.rehearsal.outcome import Outcome
from huntaze_pipeline.rehearsal.scene import Scene
from huntaze_pipeline.rehearsal.verdict import Mismatch, Path
from huntaze_pipeline.rulebook import loader
from huntaze_pipeline.rulebook.cases import Case, SegmentCase, Setting, TemplateCase
from huntaze_pipeline.rulebook.loader import Draft, Rulebook
from huntaze_pipeline.source import Source


@dataclass(frozen=True)
class Trial:
    """One test and where it stands."""

    owner: str
    """`automations/welcome`, `tests/first_week`"""
    name: str
    test: Setting | TemplateCase
    rules: Mapping[str, Sequence[str]]
    """Ids of the rules that are live in it, by kind."""
    source: Source
    path: Path


@dataclass
class Result:
    """What came of one test."""

    trial: Trial
    problems: list[Problem] = field(default_factory=list)
    """What is not as expected; none: the test holds."""
    story: list[Outcome] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    """The story in words, for whoever has to find out why."""
    seconds: float = 0

    @property
    def passed(self) -> bool:
        """Whether the test holds."""
        return not self.problems


def trials(draft: Draft, only: Sequence[str] = ()) -> list[Trial]:
    """Return the tests of rule files, in the order of the files.

    Args:
        draft: checked files.
        only: ids (`welcome`, `automations/welcome`) or parts of names; none: all.

    Raises:
        NotFoundError: a word means no test; a misspelt name must not look like success.
    """
    found = [*_owned(draft), *_suites(draft)]
    for word in only:
        if not any(_meant(word, t) for t in found):
            raise NotFoundError(f"{word!r} is no test: {_hint(draft, word, found)}")
    return [t for t in found if not only or any(_meant(word, t) for word in only)]


def _hint(draft: Draft, word: str, known: Sequence[Trial]) -> str:
    name = word.rpartition("/")[2]
    if any(name == rule for _, rule in draft.sources):
        return "that rule has none; write `tests:` into its file"
    near = get_close_matches(name, {t.owner.partition("/")[2] for t in known}, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"no rule with tests has that id, and no test's name holds it{hint}"


def _meant(word: str, trial: Trial) -> bool:
    names = (trial.owner, trial.owner.partition("/")[2])
    return word in names or word.lower() in trial.name.lower()


def _owned(draft: Draft) -> Iterator[Trial]:
    for (kind, name), source in draft.sources.items():
        for i, test in enumerate(getattr(draft.rules[kind].get(name), "tests", ())):
            yield Trial(f"{kind}/{name}", test.name, test, {kind: [name]}, source, ("tests", i))


def _suites(draft: Draft) -> Iterator[Trial]:
    for name, (source, suite) in draft.suites.items():
        if suite is None:
            continue
        live = {"automations": suite.rules, "campaigns": suite.campaigns}
        for i, test in enumerate(suite.tests):
            yield Trial(f"tests/{name}", test.name, test, live, source, ("tests", i))


def run(draft: Draft, only: Sequence[str] = ()) -> list[Result]:
    """Run the tests.

    Raises:
        RuleError: the files hold faults; nothing was run.
        NotFoundError: a word means no test.
    """
    rulebook = loader.book(draft)
    return [_run(trial, rulebook) for trial in trials(draft, only)]


def _run(trial: Trial, rulebook: Rulebook) -> Result:
    began, result = time.perf_counter(), Result(trial)
    name = trial.owner.partition("/")[2]
    if isinstance(trial.test, TemplateCase):
        mismatches = rendering.compare(trial.test, rulebook.templates[name])
    elif isinstance(trial.test, SegmentCase):
        mismatches = _members(Scene(trial.test, rulebook, ()), name)
    else:
        live = (trial.rules.get(kind, ()) for kind in ("automations", "campaigns"))
        mismatches = _story(Scene(trial.test, rulebook, *live), result)
    result.problems = [_problem(trial, mismatch) for mismatch in mismatches]
    result.seconds = time.perf_counter() - began
    return result


def _story(scene: Scene, result: Result) -> list[Mismatch]:
    assert isinstance(scene.test, Case)
    over = [name for name, campaign in scene.planned().items() if campaign is None]
    if over:
        what = f"{', '.join(over)} is over when the test begins: give the test a `clock`"
        return [Mismatch(("clock",), what)]
    result.story = scene.play().story
    told = sorted(result.story, key=lambda outcome: outcome.at)
    result.lines = [verdict.described(scene, outcome) for outcome in told]
    return verdict.compare(scene, result.story)


def _members(scene: Scene, segment: str) -> list[Mismatch]:
    assert isinstance(scene.test, SegmentCase)
    found = []
    answers = scene.memberships()
    for i, (wanted, inside) in enumerate(zip(scene.test.expect, answers, strict=True)):
        expected = {fan for name in wanted.members for fan in scene.those(name)}
        actual = inside[segment]
        lacking, extra = sorted(expected - actual), sorted(actual - expected)
        words = [f"{', '.join(lacking)} not in it"] if lacking else []
        words += [f"{', '.join(extra)} in it"] if extra else []
        if words:
            at = verdict.moment(scene.test.clock, scene.instant(wanted.at, None))
            found.append(Mismatch(("expect", i, "members"), f"at {at}: {'; '.join(words)}"))
    return found


def _problem(trial: Trial, mismatch: Mismatch) -> Problem:
    path = (*trial.path, *(mismatch.path or ("expect",)))
    return trial.source.problem(path, f"{trial.name}: {mismatch.what}")

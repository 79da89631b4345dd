"""A folder of rule files as one rulebook: all of it is right, or every fault is listed.

Belongs here: finding the files and putting them together. Shapes are in `schema`, what one file
says of another is checked in `references`.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from huntaze_pipeline import hashing
from huntaze_pipeline.errors import ModelError, Problem, RuleError
from huntaze_pipeline.rulebook import casting, references, rosters, seed, vocabulary
from huntaze_pipeline.rulebook.cases import Suite
from huntaze_pipeline.rulebook.fields import nearest
from huntaze_pipeline.rulebook.policies import Policies, PolicyFile
from huntaze_pipeline.rulebook.schema import (
    KINDS,
    Automation,
    Campaign,
    Segment,
    Template,
)
from huntaze_pipeline.rulebook.units import ID, Strict
from huntaze_pipeline.rulebook.validation import validate
from huntaze_pipeline.rulebook.vocabulary import FieldFile
from huntaze_pipeline.source import Source, read
from huntaze_pipeline.warehouse import goals

TESTS = "tests"
"""The folder of tests of several rules."""
_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True)
class Rulebook:
    """Everything that the rule files say, checked."""

    segments: dict[str, Segment]
    automations: dict[str, Automation]
    campaigns: dict[str, Campaign]
    templates: dict[str, Template]
    policies: Policies
    files: int = 0

    def content(self) -> str:
        """Return the content hash of all rules together."""
        return hashing.content(self.hashes())

    def hashes(self) -> dict[str, str]:
        """Return the content hash of every rule, by `kind/id`."""
        return {
            f"{kind}/{name}": self.hash(kind, name)
            for kind in KINDS
            for name in getattr(self, kind)
        }

    def hash(self, kind: str, name: str) -> str:
        """Return the content hash of a rule together with the templates that it sends."""
        rule: Strict = getattr(self, kind)[name]
        used = {t: self.templates[t].plain() for t in references.templates_of(rule)}
        return hashing.content({"rule": rule.plain(), "templates": used} if used else rule.plain())


@dataclass
class Draft:
    """What could be read so far, with the sources that problems point into."""

    rules: dict[str, dict[str, Strict]] = field(default_factory=lambda: {k: {} for k in KINDS})
    sources: dict[tuple[str, str], Source] = field(default_factory=dict)
    policies: PolicyFile | None = None
    fields: FieldFile | None = None
    problems: list[Problem] = field(default_factory=list)
    suites: dict[str, tuple[Source, Suite | None]] = field(default_factory=dict)
    """The files of tests/, by name; None for one with faults."""
    goals: tuple[str, ...] | None = None
    """Names of goals; None: their file has faults, which are told elsewhere."""
    broken: set[tuple[str, str]] = field(default_factory=set)
    """Files that exist and have faults: a reference to them is no fault of its own."""
    lists: set[Path] = field(default_factory=set)
    """Lists of fans that lie beside the segments."""
    named: set[Path] = field(default_factory=set)
    """The lists that segments name."""


def load(rules_dir: Path) -> Rulebook:
    """Read a folder of rules.

    Raises:
        RuleError: faults were found; every one of every file is in it.
    """
    return book(drafted(rules_dir))


def book(draft: "Draft") -> Rulebook:
    """Return what was read as one rulebook.

    Raises:
        RuleError: it holds faults.
    """
    if draft.problems or draft.policies is None:
        raise RuleError(draft.problems)
    rules = draft.rules
    return Rulebook(
        **{kind: dict(sorted(rules[kind].items())) for kind in KINDS},  # pyright: ignore[reportArgumentType]
        policies=Policies(draft.policies),
        files=len(draft.sources) + 1,
    )


def drafted(rules_dir: Path) -> Draft:
    """Read and check every file; nothing is raised, faults are in `problems`, in file order."""
    draft = Draft()
    if not rules_dir.is_dir():
        draft.problems.append(Problem(str(rules_dir), "is no folder; name it with --rules"))
        return draft
    policies = read(rules_dir / "policies.yaml", rules_dir)
    if not policies.path.exists():
        policies.problems = [policies.at(None, "is missing; `rules/` of the project has one")]
    draft.policies = validate(PolicyFile, policies)
    fields = Source(rules_dir / vocabulary.FILE, vocabulary.FILE)
    if fields.path.is_file():
        fields = read(fields.path, rules_dir)
        draft.fields = validate(FieldFile, fields)
    with suppress(ModelError):
        draft.goals = tuple(goals.known(rules_dir))
    for kind in KINDS:
        for path in sorted((rules_dir / kind).glob("*")):
            _file(draft, kind, path, rules_dir)
    for path in sorted((rules_dir / TESTS).glob("*")):
        _suite(draft, path, rules_dir)
    _strangers(draft, rules_dir)
    _unread(draft, rules_dir)
    references.check(draft)
    casting.check(draft)
    suites = [source for source, _ in draft.suites.values()]
    for source in (policies, fields, *draft.sources.values(), *suites):
        draft.problems += source.problems
    draft.problems = sorted(dict.fromkeys(draft.problems), key=_order)
    return draft


def one(kind: str, path: Path) -> tuple[Strict | None, list[Problem]]:
    """Read one rule file by itself, wherever it lies; what it says of others is not checked."""
    draft = Draft()
    _file(draft, kind, path.resolve(), path.resolve().parent)
    problems = [p for source in draft.sources.values() for p in source.problems]
    return draft.rules[kind].get(path.stem), [*draft.problems, *problems]


def _file(draft: Draft, kind: str, path: Path, root: Path) -> None:
    if path.name.startswith("."):
        return
    if path.is_dir():
        _folder(draft, path, root)
        return
    if kind == "segments" and path.suffix in rosters.SUFFIXES:
        draft.lists.add(path)
        return
    if path.suffix not in _SUFFIXES:
        where = str(path.relative_to(root.parent))
        draft.problems.append(Problem(f"{where}:1:1", "is no rule file; end its name in .yaml"))
        return
    source = read(path, root)
    if (kind, path.stem) in draft.sources:
        other = draft.sources[kind, path.stem].name
        source.problems.append(source.at(None, f"has the same id as {other}"))
    if not ID.fullmatch(path.stem):
        what = f"the file's name is the id: {path.stem!r} must be like welcome_back"
        source.problems.append(source.at(None, what))
    if isinstance(source.data, dict) and (
        path.suffix == ".json" or seed.speaks(kind, source.data, "\n".join(source.lines))
    ):
        source.data = seed.FORMS[kind](source.data)
        source.former = seed.FORMER
    if kind == "segments":
        draft.named |= rosters.named(source)
        rosters.read(source, root)
    rule = validate(KINDS[kind], source)
    draft.sources[kind, path.stem] = source
    if rule is None:
        draft.broken.add((kind, path.stem))
    else:
        draft.rules[kind][path.stem] = rule


def _folder(draft: Draft, path: Path, root: Path) -> None:
    """Name a folder among rules, unless it holds lists: what lies in it would never run."""
    inside = [p for p in path.rglob("*") if p.is_file() and not p.name.startswith(".")]
    lists = [p for p in inside if p.suffix in rosters.SUFFIXES]
    draft.lists.update(lists)
    if not lists or len(lists) < len(inside):
        where = f"{path.relative_to(root.parent)}:1:1"
        what = f"is a folder, and no rule in it is read; rules lie in {path.parent.name}/ itself"
        draft.problems.append(Problem(where, what))


def _suite(draft: Draft, path: Path, root: Path) -> None:
    if path.name.startswith("."):
        return
    if path.is_dir():
        _folder(draft, path, root)
        return
    source = read(path, root)
    if path.suffix not in _SUFFIXES:
        source.problems.append(source.at(None, "is no file of tests; end its name in .yaml"))
    draft.suites[path.stem] = source, validate(Suite, source)


def _strangers(draft: Draft, root: Path) -> None:
    """Name folders that nothing reads: a rule in `automation/` would silently never run."""
    for path in sorted(root.iterdir()):
        if (
            path.is_dir()
            and path.name not in (*KINDS, TESTS, "schema")
            and path.name[0] not in "._"
        ):
            where = str(path.relative_to(root.parent))
            what = f"unknown folder {path.name!r}{nearest(path.name, [*KINDS, TESTS])}"
            draft.problems.append(Problem(f"{where}:1:1", what))


def _unread(draft: Draft, root: Path) -> None:
    """Name lists that no segment reads."""
    for path in sorted(draft.lists):
        if path.resolve() not in draft.named:
            where = f"{path.relative_to(root.parent)}:1:1"
            what = (
                "is no rule file; end its name in .yaml, or let a segment read it as a list"
                f" (`file: {path.name}`)"
            )
            draft.problems.append(Problem(where, what))


def _order(problem: Problem) -> tuple[str, int, int]:
    file, _, rest = problem.where.partition(":")
    line, _, column = rest.partition(":")
    return file, int(line or 0), int(column or 0)

"""Who and what the tests of rule files speak of: fans, segments, topics, templates that exist."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from huntaze_pipeline.rulebook.cases import Case, Happening, Setting, Suite
from huntaze_pipeline.rulebook.fields import nearest
from huntaze_pipeline.rulebook.schema import Automation, Campaign, Segment
from huntaze_pipeline.source import Source

if TYPE_CHECKING:
    from huntaze_pipeline.rulebook.loader import Draft

Path = tuple[str | int, ...]


def check(draft: "Draft") -> None:
    """Add to each file the faults of its tests."""
    for (kind, name), source in draft.sources.items():
        rule = draft.rules[kind].get(name)
        if isinstance(rule, Automation | Campaign | Segment):
            _tests(draft, rule.tests, source, {kind: [name]})
    for source, suite in draft.suites.values():
        if suite is not None:
            _suite(draft, suite, source)


def _suite(draft: "Draft", suite: Suite, source: Source) -> None:
    live = {"automations": suite.rules, "campaigns": suite.campaigns}
    for kind, names in live.items():
        key = "rules" if kind == "automations" else kind
        for i, name in enumerate(names):
            if (kind, name) not in draft.sources:
                known = list(draft.rules[kind])
                what = f"unknown {kind.removesuffix('s')} {name!r}{nearest(name, known)}"
                source.problems.append(source.problem((key, i), what))
    _tests(draft, suite.tests, source, live)


def _tests(
    draft: "Draft", tests: Iterable[Setting], source: Source, live: Mapping[str, Sequence[str]]
) -> None:  # fmt: skip
    for i, test in enumerate(tests):
        scene = _Scene(draft, test, source, ("tests", i), live)
        scene.people()
        for key in ("before", "events"):
            for j, happening in enumerate(getattr(test, key)):
                scene.happening(happening, (key, j))
        if isinstance(test, Case):
            scene.expectations(test)


class _Scene:
    """One test and where its faults are put."""

    def __init__(
        self, draft: "Draft", test: Setting, source: Source, path: Path,
        live: Mapping[str, Sequence[str]],
    ) -> None:  # fmt: skip
        self.draft, self.test, self.source, self.path = draft, test, source, path
        self.rules = [name for names in live.values() for name in names]
        self.campaigns = live.get("campaigns", ())
        found = (draft.rules["campaigns"].get(name) for name in self.campaigns)
        campaigns = [rule for rule in found if isinstance(rule, Campaign)]
        self.arms = [arm.id for rule in campaigns for arm in rule.variants]
        self.whole = len(campaigns) == len(self.campaigns)

    def people(self) -> None:
        for name, person in self.test.fans.items():
            path: Path = ("fans", name)
            for segment in person.segments or ():
                self.known("segment", segment, (*path, "segments"))
            for topic in person.consents:
                self.topic(topic, (*path, "consents", topic))

    def happening(self, happening: Happening, path: Path) -> None:
        if happening.winner is not None:
            self._winner(happening, path)
            return
        self.fan(happening.fan, path)
        for topic in happening.consents:
            self.topic(topic, (*path, "consents", topic))

    def _winner(self, happening: Happening, path: Path) -> None:
        if happening.winner != "none":
            self.arm(happening.winner, (*path, "winner"))
        if happening.campaign is None and len(self.campaigns) > 1:
            self.fault(path, f"`campaign` is missing; this test has {', '.join(self.campaigns)}")
        elif happening.campaign is not None and happening.campaign not in self.campaigns:
            name = happening.campaign
            self.fault((*path, "campaign"), f"{name!r} is no campaign of this test", name)

    def arm(self, name: str | None, path: Path) -> None:
        if name is not None and name not in self.arms and self.whole:
            self.fault(path, f"unknown variant {name!r}{nearest(name, self.arms)}", name)

    def expectations(self, test: Case) -> None:
        for i, wanted in enumerate(test.expect):
            path: Path = ("expect", i)
            self.fan(wanted.fan, path, needed=False)
            if isinstance(wanted.send, str):
                self.known("template", wanted.send, (*path, "send"))
            self.arm(wanted.variant, (*path, "variant"))
            if wanted.rule is not None and wanted.rule not in self.rules:
                self.fault((*path, "rule"), f"{wanted.rule!r} is no rule of this test", wanted.rule)

    def fan(self, name: str | None, path: Path, needed: bool = True) -> None:
        fans = list(self.test.fans)
        if name is not None and name not in fans:
            self.fault((*path, "fan"), f"unknown fan {name!r}{nearest(name, fans)}", name)
        elif name is None and needed and len(fans) > 1:
            self.fault(path, f"`fan` is missing; this test has {', '.join(fans)}")

    def topic(self, name: str, path: Path) -> None:
        topics = list(self.draft.policies.topics) if self.draft.policies else [name]
        if name not in topics:
            self.fault(path, f"unknown topic {name!r}{nearest(name, topics)}", name)

    def known(self, what: str, name: str, path: Path) -> None:
        if (f"{what}s", name) not in self.draft.sources:
            names = list(self.draft.rules[f"{what}s"])
            self.fault(path, f"unknown {what} {name!r}{nearest(name, names)}", name)

    def fault(self, path: Path, what: str, needle: str = "") -> None:
        place = (*self.path, *path)
        self.source.problems.append(self.source.problem(place, what, needle))

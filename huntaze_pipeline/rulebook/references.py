"""What one rule file says of another: names that exist, circles, variables, what cannot work.

Each check adds its faults to the file that has to change. Circles are found by `loops`, conditions
and steps without effect by `deadends`, what a platform carries is `carriage`'s.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from huntaze_pipeline.rulebook import (
    carriage,
    deadends,
    flow,
    loops,
    remains,
    routes,
    templates,
    vocabulary,
)
from huntaze_pipeline.rulebook.carriage import SAMPLE as SAMPLE
from huntaze_pipeline.rulebook.conditions import Condition, ConditionFaults, parse
from huntaze_pipeline.rulebook.fields import EVERYWHERE, nearest
from huntaze_pipeline.rulebook.schema import (
    Automation,
    Campaign,
    Segment,
    Template,
    Trigger,
)
from huntaze_pipeline.rulebook.units import Strict
from huntaze_pipeline.source import Source

if TYPE_CHECKING:
    from huntaze_pipeline.rulebook.loader import Draft

Path = tuple[str | int, ...]


def templates_of(rule: Strict) -> list[str]:
    """Return the ids of the templates that a rule sends."""
    if isinstance(rule, Campaign):
        names = [rule.template, *(arm.template for arm in rule.variants)]
    elif isinstance(rule, Automation):
        names = [op.step.send.template for op in flow.program(rule) if op.step.send]
    else:
        names = []
    return sorted({name for name in names if name})


def check(draft: "Draft") -> None:
    """Check everything that needs more than one file."""
    checker = Checker(draft)
    for (kind, name), source in draft.sources.items():
        rule = draft.rules[kind].get(name)
        if isinstance(rule, Automation):
            routes.check(checker, rule, source)
        elif rule is not None:
            getattr(checker, kind)(name, rule, source)
        elif (kind, name) in draft.broken:
            remains.check(checker, kind, source)
    checker.circles()


class Checker:
    """What is checked of all rules alike, and of segments, campaigns and templates."""

    def __init__(self, draft: "Draft") -> None:
        self.draft = draft
        self.policies = draft.policies
        self.declared = vocabulary.declared(draft.fields)
        self.asked: dict[str, Condition] = {}
        """The conditions of segments, by id."""

    def segments(self, name: str, rule: Segment, source: Source) -> None:
        """Check one segment."""
        condition = self.condition(rule.where, ("where",), source, None, ("fan",))
        if condition is not None:
            self.asked[name] = condition
            self.hopeless([condition], ("where",), source, "the segment is empty for ever")

    def hopeless(
        self,
        conditions: list[Condition],
        path: Path,
        source: Source,
        so: str,
        trigger: Trigger | None = None,
    ) -> bool:
        """Tell of conditions that can never hold together."""
        why = deadends.contradiction(conditions, trigger)
        if why is not None:
            source.problems.append(source.problem(path, f"{why}: {so}"))
        return why is not None

    def campaigns(self, name: str, rule: Campaign, source: Source) -> None:
        """Check one campaign."""
        self.lifetime(rule.expires_after, (), source)
        self.topic(rule.topic, ("topic",), source)
        goals = self.draft.goals
        if rule.goal and goals is not None and rule.goal not in goals:
            what = f"unknown goal {rule.goal!r}{nearest(rule.goal, goals)} (see goals.yaml)"
            source.problems.append(source.problem(("goal",), what))
        for key in ("segments", "exclude"):
            for i, segment in enumerate(getattr(rule.targeting, key)):
                self.known("segments", segment, ("targeting", key, i), source)
        for name_ in sorted(set(rule.targeting.segments) & set(rule.targeting.exclude)):
            path: Path = ("targeting", "exclude", rule.targeting.exclude.index(name_))
            source.problems.append(source.problem(path, f"{name_!r} is targeted and excluded"))
        self.windows(rule, source)
        if not rule.variants:
            self.usage(rule.template, rule.variables, ("template",), source, rule.platforms)
        for i, arm in enumerate(rule.variants):
            path = ("variants", i, "template") if arm.template else ("template",)
            given = {**rule.variables, **arm.variables}
            self.usage(arm.template or rule.template, given, path, source, rule.platforms)

    def windows(self, rule: Campaign, source: Source) -> None:
        """Tell of a campaign on platforms that are closed to whoever has not just written."""
        names = rule.targeting.segments
        asked = [self.read(self.draft.rules["segments"].get(name)) for name in names]
        policies = self.policies.platforms if self.policies else {}
        why = carriage.closed(rule.platforms, [c for c in asked if c is not None], policies)
        if why is not None:
            source.problems.append(source.problem(("platforms",), why))

    @staticmethod
    def read(rule: Strict | None) -> Condition | None:
        """Return the condition of a segment, when it has one that can be read."""
        try:
            return parse(rule.where, ("fan",)) if isinstance(rule, Segment) else None
        except ConditionFaults:
            return None

    def templates(self, name: str, rule: Template, source: Source) -> None:
        """Check one template."""
        self.lifetime(rule.settings.expires_after, ("settings",), source)
        self.topic(rule.settings.topic, ("settings", "topic"), source)
        names = {variable.name for variable in rule.variables}
        for reserved in sorted(names & set(templates.WORDS)):
            source.problems.append(source.problem(("variables",), f"{reserved!r} is taken"))
        for platform, copies in rule.content.items():
            if platform not in rule.platforms:
                what = f"{platform} is not in `platforms`; add it there or drop its content"
                source.problems.append(source.key_problem(("content", platform), what))
            for locale, copy in copies.items():
                path: Path = ("content", platform, locale)
                for key in ("subject", "body"):
                    text = getattr(copy, key) or ""
                    for fault in templates.faults(text, names):
                        what = source.problem((*path, key), fault.what, fault.needle)
                        source.problems.append(what)
                policy = self.policies.platforms.get(platform) if self.policies else None
                if policy is not None:
                    faults = carriage.copy_faults(rule, platform, locale, policy)
                    for key, told in faults:
                        place: Path = (*path, key) if key else path
                        at = source.key_problem if key == "subject" else source.problem
                        source.problems.append(at(place, told))

    def condition(
        self,
        where: Any,
        path: Path,
        source: Source,
        event: str | None,
        scopes: tuple[str, ...] = EVERYWHERE,
    ) -> Condition | None:
        """Read a condition and check what it names.

        Args:
            where: as it is written.
            path: where it is written.
            source: the file.
            event: the event that it may ask about.
            scopes: what it may ask about.
        """
        try:
            condition = parse(where, scopes)
            faults = condition.against(self.declared.about(event))
        except ConditionFaults as error:
            condition, faults = None, error.faults
        for fault in faults:
            place = (*path, *fault.path)
            source.problems.append(source.problem(place, fault.what, fault.needle, fault.nth))
        if condition is not None:
            for segment in sorted(condition.segments):
                self.known("segments", segment, path, source)
            for template in sorted(condition.templates):
                self.known("templates", template, path, source)
        return None if faults else condition

    def known(self, kind: str, name: str, path: Path, source: Source) -> bool:
        """Say whether a rule is there; a reference to nothing is a fault."""
        if name in self.draft.rules[kind]:
            return True
        if (kind, name) not in self.draft.broken:
            names = [n for k, n in self.draft.sources if k == kind]
            what = f"unknown {kind[:-1]} {name!r}{nearest(name, names)}"
            source.problems.append(source.problem(path, what, name))
        return False

    def lifetime(self, value: timedelta | None, path: Path, source: Source) -> None:
        """Tell of messages that are too old as soon as they are written."""
        if value is not None and value <= timedelta(0):
            what = "expires_after must be longer than nothing, or no message is ever sent"
            source.problems.append(source.problem((*path, "expires_after"), what))

    def topic(self, name: str | None, path: Path, source: Source) -> None:
        """Check that a topic is declared."""
        if name and self.policies and name not in self.policies.topics:
            known = list(self.policies.topics)
            what = f"unknown topic {name!r}{nearest(name, known)} (topics are in policies.yaml)"
            source.problems.append(source.problem(path, what))

    def usage(
        self,
        name: str,
        given: Mapping[str, Any],
        path: Path,
        source: Source,
        platforms: Iterable[str],
    ) -> None:
        """Check a use of a template: it exists, fits the platforms and gets its variables."""
        if not self.known("templates", name, path, source):
            return
        template = self.draft.rules["templates"][name]
        assert isinstance(template, Template)
        declared = {v.name: v.default for v in template.variables}
        for platform in platforms:
            if platform not in template.platforms:
                what = f"template {name!r} has no content for {platform}"
                source.problems.append(source.problem(path, what))
        for lacking in sorted(n for n, d in declared.items() if d is None and n not in given):
            what = f"template {name!r} needs the variable {lacking!r}; give it under `variables`"
            source.problems.append(source.problem(path, what))
        for extra in sorted(set(given) - set(declared)):
            what = f"template {name!r} has no variable {extra!r}{nearest(extra, list(declared))}"
            source.problems.append(source.key_problem((*path[:-1], "variables", extra), what))

    def circles(self) -> None:
        """Report each circle once, in the file that comes first by name."""
        uses = {name: condition.segments for name, condition in self.asked.items()}
        for start, way in _circles(uses):
            what = f"segments ask for each other in a circle: {' -> '.join([*way, start])}"
            source = self.draft.sources["segments", start]
            source.problems.append(source.problem(("where",), what))
        automations = {
            name: rule
            for name, rule in self.draft.rules["automations"].items()
            if isinstance(rule, Automation)
        }
        for start, way in _circles(loops.feeds(automations, self.asked)):
            event, source = (
                automations[start].trigger.event,
                self.draft.sources["automations", start],
            )
            what = f"automations set each other off for ever: {' -> '.join([*way, start])}"
            if len(way) == 1:
                echo = f"reacts to each message that it sends itself ({event})"
                what = echo if event in loops.ECHOES else "sets itself off again, for ever"
            source.problems.append(source.problem(("trigger", "event"), f"{what}; set `entry`"))


def _circles(uses: Mapping[str, Iterable[str]]) -> Iterator[tuple[str, list[str]]]:
    for start in sorted(uses):
        way = loops.loop(start, uses)
        if way and start == min(way):
            yield start, way

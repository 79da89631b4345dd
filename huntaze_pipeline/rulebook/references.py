"""What one rule file says of another: names that exist, cycles, variables, lengths.

Each check adds its faults to the file that has to change.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from huntaze_pipeline.rulebook import flow, templates
from huntaze_pipeline.rulebook.conditions import Condition, ConditionFaults, parse
from huntaze_pipeline.rulebook.fields import nearest
from huntaze_pipeline.rulebook.schema import Automation, Campaign, Segment, Template
from huntaze_pipeline.rulebook.steps import Send
from huntaze_pipeline.rulebook.units import Strict
from huntaze_pipeline.source import Source

if TYPE_CHECKING:
    from huntaze_pipeline.rulebook.loader import Draft

Path = tuple[str | int, ...]
_OWN_ECHO = ("sent", "delivered", "failed", "bounced")
SAMPLE: dict[str, Any] = {
    "fan": {
        **dict.fromkeys(templates.WORDS["fan"], 12),
        "id": "sample", "name": "Alexandria Montgomery-Fitzgerald", "first_name": "Alexandria",
        "zone": "Europe/Paris", "locale": "en", "tags": ["vip"], "attributes": {},
    },
    "creator": {"id": "creator", "name": "A Creator's Name", "zone": "UTC", "currency": "USD"},
    "event": {**dict.fromkeys(templates.WORDS["event"], "sample"), "value": 25, "properties": {}},
    "campaign": {"id": "campaign", "name": "A campaign"},
}  # fmt: skip
"""A fan with a long name, for lengths and previews."""


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
    checker = _Checker(draft)
    for (kind, name), source in draft.sources.items():
        rule = draft.rules[kind].get(name)
        if rule is not None:
            getattr(checker, kind)(name, rule, source)
    checker.cycles()


class _Checker:
    def __init__(self, draft: "Draft") -> None:
        self.draft = draft
        self.policies = draft.policies
        self.uses: dict[str, frozenset[str]] = {}

    def segments(self, name: str, rule: Segment, source: Source) -> None:
        condition = self.condition(rule.where, ("where",), source, ("fan",))
        self.uses[name] = condition.segments if condition else frozenset()

    def automations(self, name: str, rule: Automation, source: Source) -> None:
        self.condition(rule.conditions, ("conditions",), source)
        for key in ("entered", "left", "segment"):
            if segment := getattr(rule.trigger, key):
                self.known("segments", segment, ("trigger", key), source)
        echo = rule.trigger.event in _OWN_ECHO and not rule.trigger.properties
        if echo and not (rule.entry.once or rule.entry.every or rule.entry.per):
            what = (
                f"reacts to each message that it sends itself ({rule.trigger.event}); set `entry`"
            )
            source.problems.append(source.problem(("trigger", "event"), what))
        if rule.exit is not None:
            self.condition(rule.exit.conditions, ("exit", "conditions"), source)
        for op in flow.program(rule):
            self.step(op, source)

    def step(self, op: flow.Op, source: Source) -> None:
        step, path = op.step, op.path
        self.condition(step.conditions, (*path, "conditions"), source)
        self.condition(step.if_, (*path, "if"), source)
        if step.exit is not None and step.exit is not True:
            self.condition(step.exit, (*path, "exit"), source)
        if step.wait is not None:
            self.condition(step.wait.conditions, (*path, "wait", "conditions"), source)
        for key in ("join", "leave"):
            if name := getattr(step, key):
                self.listed(name, (*path, key), source)
        if step.send is not None:
            inner = path if op.delay is not None else (*path, "send")
            self.topic(step.send.topic, (*inner, "topic"), source)
            self.send(step.send, inner, source)

    def listed(self, name: str, path: Path, source: Source) -> None:
        """Check that a segment is there and is a list, which rules may change."""
        segment = self.draft.rules["segments"].get(name)
        if not self.known("segments", name, path, source) or not isinstance(segment, Segment):
            return
        if segment.fans is None:
            what = f"segment {name!r} has a condition; only lists (`fans`) can be joined or left"
            source.problems.append(source.problem(path, what))

    def send(self, action: Send, path: Path, source: Source) -> None:
        if action.template:
            platforms = [action.platform] if action.platform else []
            self.usage(action.template, action.variables, (*path, "template"), source, platforms)
        elif action.content:
            for fault in templates.faults(
                action.content, action.variables, ("fan", "event", "creator")
            ):
                source.problems.append(source.problem((*path, "content"), fault.what, fault.needle))

    def campaigns(self, name: str, rule: Campaign, source: Source) -> None:
        self.topic(rule.topic, ("topic",), source)
        for key in ("segments", "exclude"):
            for i, segment in enumerate(getattr(rule.targeting, key)):
                self.known("segments", segment, ("targeting", key, i), source)
        if not rule.variants:
            self.usage(rule.template, rule.variables, ("template",), source, rule.platforms)
        for i, arm in enumerate(rule.variants):
            path: Path = ("variants", i, "template") if arm.template else ("template",)
            given = {**rule.variables, **arm.variables}
            self.usage(arm.template or rule.template, given, path, source, rule.platforms)

    def templates(self, name: str, rule: Template, source: Source) -> None:
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
                self.carried(rule, platform, locale, path, source)

    def carried(
        self, rule: Template, platform: str, locale: str, path: Path, source: Source
    ) -> None:
        """Check that the platform can carry the copy: subject and length."""
        policy = self.policies.platforms.get(platform) if self.policies else None
        if policy is None:
            return
        copy = rule.content[platform][locale]
        if policy.subject and not copy.subject:
            source.problems.append(source.problem(path, f"{platform} needs a subject"))
        if copy.subject and not policy.subject:
            what = f"{platform} has no subject; drop it"
            source.problems.append(source.key_problem((*path, "subject"), what))
        length = _length(rule, platform, locale)
        if length > policy.max_length:
            what = f"has {length} characters; {platform} takes {policy.max_length}"
            source.problems.append(source.problem((*path, "body"), what))

    def condition(
        self, where: Any, path: Path, source: Source, scopes: tuple[str, ...] = ("fan", "event")
    ) -> Condition | None:
        try:
            condition = parse(where, scopes)
        except ConditionFaults as error:
            for fault in error.faults:
                place = (*path, *fault.path)
                source.problems.append(source.problem(place, fault.what, fault.needle))
            return None
        for segment in sorted(condition.segments):
            self.known("segments", segment, path, source)
        return condition

    def known(self, kind: str, name: str, path: Path, source: Source) -> bool:
        if name in self.draft.rules[kind]:
            return True
        if (kind, name) not in self.draft.broken:
            names = [n for k, n in self.draft.sources if k == kind]
            what = f"unknown {kind[:-1]} {name!r}{nearest(name, names)}"
            source.problems.append(source.problem(path, what, name))
        return False

    def topic(self, name: str | None, path: Path, source: Source) -> None:
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

    def cycles(self) -> None:
        """Report each cycle of segments once, in the file that comes first by name."""
        for start in sorted(self.uses):
            loop = _loop(start, self.uses)
            if loop and start == min(loop):
                what = f"segments ask for each other in a circle: {' -> '.join([*loop, start])}"
                source = self.draft.sources["segments", start]
                source.problems.append(source.problem(("where",), what))


def _loop(start: str, uses: Mapping[str, frozenset[str]]) -> list[str] | None:
    """Return a way from a segment back to itself, or None."""
    ways, seen = [[start]], set()
    while ways:
        way = ways.pop()
        for following in sorted(uses.get(way[-1], ())):
            if following == start:
                return way
            if following not in seen:
                seen.add(following)
                ways.append([*way, following])
    return None


def _length(rule: Template, platform: str, locale: str) -> int:
    given = {v.name: "x" * 20 for v in rule.variables if v.default is None}
    try:
        return len(templates.render(rule, platform, locale, SAMPLE, given).body)
    except templates.RenderError:
        return len(rule.content[platform][locale].body)

"""What is checked of an automation: its events, its conditions together, and each of its steps.

Belongs here: walking its program. Names that exist and conditions by themselves are `references`'.
"""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from huntaze_pipeline.rulebook import carriage, deadends, flow, templates
from huntaze_pipeline.rulebook.conditions import Condition, ConditionFaults, parse
from huntaze_pipeline.rulebook.fields import SEGMENT_EVENTS, Type, nearest
from huntaze_pipeline.rulebook.schema import Automation, Segment, Template, Trigger
from huntaze_pipeline.rulebook.steps import Emit, Occurrence, Send
from huntaze_pipeline.source import Source

if TYPE_CHECKING:
    from huntaze_pipeline.rulebook.references import Checker

Path = tuple[str | int, ...]


def check(checker: "Checker", rule: Automation, source: Source) -> None:
    """Check an automation: its trigger, conditions and steps."""
    own = checker.condition(rule.conditions, ("conditions",), source, rule.trigger.event)
    _trigger(checker, rule.trigger, source)
    if rule.exit is not None:
        _occurrence(checker, rule.exit, ("exit",), source)
        event = rule.exit.event or rule.trigger.event
        checker.condition(rule.exit.conditions, ("exit", "conditions"), source, event)
    dead = own is not None and checker.hopeless(
        [own], ("conditions",), source, "nobody ever enters", rule.trigger
    )
    program = flow.program(rule)
    for op in program:
        _step(checker, op, source, rule, [] if dead or own is None else [own], program)
    for op in deadends.strays(program):
        source.problems.append(source.problem(op.path, "nobody ever comes to this step"))


def _trigger(checker: "Checker", trigger: Trigger, source: Source) -> None:
    if trigger.happened is not None:
        _occurrence(checker, trigger, ("trigger",), source)
    if trigger.silence is not None:
        for event in trigger.silence.event:
            if stranger := checker.declared.stranger(event):
                source.problems.append(source.problem(("trigger", "silence", "event"), stranger))
    checker.lifetime(trigger.expires_after, ("trigger",), source)
    for key in ("entered", "left", "segment"):
        if name := getattr(trigger, key):
            checker.known("segments", name, ("trigger", key), source)


def _occurrence(checker: "Checker", what: Trigger | Occurrence, path: Path, source: Source) -> None:
    """Check an event that is reacted to or waited for: its name and its properties."""
    if what.event is None:
        return
    stranger = checker.declared.stranger(what.event)
    if stranger:
        source.problems.append(source.problem((*path, "event"), stranger))
    known = checker.declared.about(what.event).below("event")
    for key, value in what.properties.items():
        place: Path = (*path, "properties", key)
        if known is not None and key not in known:
            hint = nearest(key, known)
            what_ = f"{what.event} has no property {key!r}{hint}"
            source.problems.append(source.key_problem(place, what_))
        elif known is not None and (known[key] is Type.NUMBER) != _numeric(value):
            what_ = f"{key}: {value!r} is no {known[key].value}"
            source.problems.append(source.problem(place, what_))
        elif key == "segment" and what.event in SEGMENT_EVENTS:
            checker.known("segments", str(value), place, source)


def _step(
    checker: "Checker",
    op: flow.Op,
    source: Source,
    rule: Automation,
    own: list[Condition],
    program: flow.Program,
) -> None:
    step, path, event = op.step, op.path, rule.trigger.event
    asked = checker.condition(step.conditions, (*path, "conditions"), source, event)
    chosen = checker.condition(step.if_, (*path, "if"), source, event)
    if step.exit is not None and step.exit is not True:
        checker.condition(step.exit, (*path, "exit"), source, event)
    if step.wait is not None:
        _occurrence(checker, step.wait, (*path, "wait"), source)
        inner = (*path, "wait", "conditions")
        checker.condition(step.wait.conditions, inner, source, step.wait.event or event)
    if step.emit is not None:
        _emitted(checker, step.emit, (*path, "emit"), source)
    for key in ("join", "leave"):
        if name := getattr(step, key):
            _listed(checker, name, (*path, key), source)
    if step.conditions is not None and asked is not None:
        both = [*_above(op, program), *(own if op.acts else []), asked]
        place = (*path, "conditions")
        checker.hopeless(both, place, source, "nobody ever takes this step", rule.trigger)
    if step.if_ is not None and chosen is not None:
        both = [*_above(op, program), chosen]
        _branch(checker, both, (*path, "if"), source, rule)
    if step.send is not None:
        inner = path if op.delay is not None else (*path, "send")
        checker.topic(step.send.topic, (*inner, "topic"), source)
        checker.lifetime(step.send.expires_after, inner, source)
        _send(checker, step.send, inner, source, rule)
        asked_ = [*own, *([asked] if asked else [])]
        _cold(checker, op, inner, source, rule, asked_, program)


def _above(op: flow.Op, program: flow.Program) -> list[Condition]:
    """Return the conditions of the `if`s whose first step this is: they were asked just before."""
    by_path = {other.path: other.step for other in program}
    found, path = [], op.path
    while path[-2:] == ("then", 0) and path[:-2] in by_path:
        path = path[:-2]
        with suppress(ConditionFaults):  # told where it stands
            if by_path[path].if_ is not None:
                found.append(parse(by_path[path].if_))
    return found[::-1]


def _branch(
    checker: "Checker", asked: list[Condition], path: Path, source: Source, rule: Automation
) -> None:
    """Tell of ways that nobody takes; the last condition is the step's own."""
    so = "nobody ever goes the way of `then`"
    if not checker.hopeless(asked, path, source, so, rule.trigger) and deadends.always(asked[-1]):
        what = "holds for everybody: nobody ever goes the way of `else`"
        source.problems.append(source.problem(path, what))


def _emitted(checker: "Checker", emit: Emit, path: Path, source: Source) -> None:
    stranger = checker.declared.stranger(emit.event)
    if stranger:
        source.problems.append(source.problem((*path, "event"), stranger, emit.event))
    known = checker.declared.about(emit.event).below("event")
    for key in sorted(set(emit.properties) - set(known or emit.properties)):
        what = f"{emit.event} has no property {key!r}{nearest(key, known or ())}"
        source.problems.append(source.key_problem((*path, "properties", key), what))


def _cold(
    checker: "Checker",
    op: flow.Op,
    path: Path,
    source: Source,
    rule: Automation,
    asked: list[Condition],
    program: flow.Program,
) -> None:
    """Tell of a message that finds the platform's window closed."""
    if checker.policies is None or op.step.send is None:
        return
    template = checker.draft.rules["templates"].get(op.step.send.template or "")
    before = [other for other in program if other.position < op.position]
    found = template if isinstance(template, Template) else None
    why = carriage.cold(rule, op, before, found, asked, checker.policies.platforms)
    if why is not None:
        key = "platform" if op.step.send.platform else "template"
        source.problems.append(source.problem((*path, key), why))


def _listed(checker: "Checker", name: str, path: Path, source: Source) -> None:
    """Check that a segment is there and is a list, which rules may change."""
    segment = checker.draft.rules["segments"].get(name)
    if not checker.known("segments", name, path, source) or not isinstance(segment, Segment):
        return
    if segment.fans is None:
        what = f"segment {name!r} has a condition; only lists (`fans`) can be joined or left"
        source.problems.append(source.problem(path, what))


def _send(checker: "Checker", send: Send, path: Path, source: Source, rule: Automation) -> None:
    if send.template:
        platforms = [send.platform] if send.platform else []
        checker.usage(send.template, send.variables, (*path, "template"), source, platforms)
    elif send.content:
        words = ("fan", "event", "creator")
        faults = templates.faults(send.content, send.variables, words)
        for fault in faults:
            source.problems.append(source.problem((*path, "content"), fault.what, fault.needle))
        platforms = checker.policies.platforms if checker.policies else {}
        for key, what in carriage.text_faults(send, rule, platforms):
            source.problems.append(source.problem((*path, key), what))


def _numeric(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

"""Circles: segments that ask for each other, and automations that set each other off for ever.

Belongs here: finding a way back to where one began. Which file is told is `references`' business.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from huntaze_pipeline.rulebook import flow
from huntaze_pipeline.rulebook.conditions import Condition
from huntaze_pipeline.rulebook.schema import Automation
from huntaze_pipeline.rulebook.steps import Step

Signal = tuple[str, Mapping[str, Any]]
"""An event's name and what is known of its properties."""
ECHOES = ("sent", "delivered", "failed", "bounced")
"""Events that follow a message by themselves, without the fan doing anything."""


def loop(start: str, uses: Mapping[str, Iterable[str]]) -> list[str] | None:
    """Return the shortest way from a node back to itself, or None."""
    ways, seen = [[start]], set()
    while ways:
        way = ways.pop(0)
        for following in sorted(uses.get(way[-1], ())):
            if following == start:
                return way
            if following not in seen:
                seen.add(following)
                ways.append([*way, following])
    return None


def feeds(
    automations: Mapping[str, Automation], segments: Mapping[str, Condition]
) -> dict[str, frozenset[str]]:
    """Return which automations each one may set off, without a limit on how often.

    Args:
        automations: by id; one with `entry` once, every or per is never part of a circle.
        segments: their conditions by id, so that a tag is followed into the segments that ask it.
    """
    endless = {name: rule for name, rule in automations.items() if not _limited(rule)}
    found = {}
    for name, rule in endless.items():
        signals = [signal for op in flow.program(rule) for signal in _signals(name, op, segments)]
        found[name] = frozenset(
            other
            for other, heard in endless.items()
            if any(_hears(heard, signal) for signal in signals)
        )
    return found


def _limited(rule: Automation) -> bool:
    return bool(rule.entry.once or rule.entry.every or rule.entry.per) or not rule.active


def _hears(rule: Automation, signal: Signal) -> bool:
    event, properties = signal
    trigger = rule.trigger
    return trigger.event == event and all(
        key in properties and properties[key] in (value, ...)
        for key, value in trigger.properties.items()
    )


def _signals(name: str, op: flow.Op, segments: Mapping[str, Condition]) -> Iterator[Signal]:
    """Yield the events that follow a step by themselves; `...` stands for any value."""
    step = op.step
    if step.send is not None:
        signal = {"automation": name, "template": step.send.template}
        yield from ((event, signal) for event in ECHOES)
    if step.emit is not None:
        given = {key: _open(value) for key, value in step.emit.properties.items()}
        yield step.emit.event, {**given, "automation": name}
    if step.join is not None:
        yield "entered_segment", {"segment": step.join, "automation": name}
    if step.leave is not None:
        yield "left_segment", {"segment": step.leave, "automation": name}
    for segment in sorted(_moved(step, segments)):
        yield "entered_segment", {"segment": segment}
        yield "left_segment", {"segment": segment}


def _open(value: Any) -> Any:
    return ... if isinstance(value, str) and "{{" in value else value


def _moved(step: Step, segments: Mapping[str, Condition]) -> set[str]:
    """Return the segments that may change because of what a step does to the fan."""
    lists = {name for name in (step.join, step.leave) if name}
    words = {f"fan.attributes.{key}" for key in step.set or ()}
    tags = {*(step.tag or ()), *(step.untag or ())}
    moved = {
        name
        for name, condition in segments.items()
        if words & condition.open_fields or tags & condition.tags
    }
    while True:
        more = {n for n, c in segments.items() if c.segments & (moved | lists)} - moved
        if not more:
            return moved
        moved |= more

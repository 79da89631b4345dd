"""What can still be told of a rule whose shape is wrong, so that one check finds all its faults.

Nothing is concluded from what is missing: conditions, names and texts are looked at where they
stand, each by itself. What is right as a whole is `references`' and `routes`'.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from huntaze_pipeline.rulebook import templates
from huntaze_pipeline.rulebook.fields import EVERYWHERE
from huntaze_pipeline.source import Source

if TYPE_CHECKING:
    from huntaze_pipeline.rulebook.references import Checker

Path = tuple[str | int, ...]
_ASKED = ("conditions", "where", "if", "exit")
_FREE = ("tests", "properties", "variables", "attributes", "set", "body", "headers", "costs")
"""Keys below which anything may stand."""
_SEGMENTS = ("entered", "left", "segment", "join", "leave")
"""Keys of triggers and steps that name a segment."""
_WORDS = ("fan", "event", "creator")


def check(checker: "Checker", kind: str, source: Source) -> None:
    """Check the parts of an automation, a segment or a campaign."""
    if kind == "templates" or not isinstance(source.data, Mapping):
        return
    scopes = ("fan",) if kind == "segments" else EVERYWHERE
    for part, path, event in _parts(source.data, (), None):
        for key in _ASKED:
            if _condition(part.get(key)):
                checker.condition(part[key], (*path, key), source, event, scopes)
        if isinstance(part.get("topic"), str):
            checker.topic(part["topic"], (*path, "topic"), source)
        if isinstance(part.get("send"), str):
            checker.known("templates", part["send"], (*path, "send"), source)
        _targeted(checker, part, path, source)
        if kind == "automations" or not path:
            _message(checker, part, path, source)
        elif isinstance(part.get("template"), str):
            checker.known("templates", part["template"], (*path, "template"), source)


def _parts(
    data: Any, path: Path, event: str | None
) -> Iterator[tuple[Mapping[str, Any], Path, str | None]]:
    """Yield each mapping, where it stands, and the event that its conditions may be about."""
    if isinstance(data, list):
        for i, item in enumerate(data):
            yield from _parts(item, (*path, i), event)
    if not isinstance(data, Mapping):
        return
    inner = data.get("trigger") if not path else data
    named = inner.get("event") if isinstance(inner, Mapping) else None
    event = named if isinstance(named, str) else event
    yield data, path, event
    for key, below in data.items():
        if key not in (*_FREE, *_ASKED) or (key == "exit" and not _condition(below)):
            yield from _parts(below, (*path, key), event)


def _condition(value: Any) -> bool:
    """Say whether a value is meant as a condition; a goal names an event."""
    goal = isinstance(value, Mapping) and not {"event", "conditions"}.isdisjoint(value)
    return isinstance(value, str | list | Mapping) and not goal


def _targeted(checker: "Checker", part: Mapping[str, Any], path: Path, source: Source) -> None:
    for key in _SEGMENTS:
        if isinstance(part.get(key), str):
            checker.known("segments", part[key], (*path, key), source)
    if path != ("targeting",):
        return
    for key in ("segments", "exclude"):
        names = part.get(key)
        for i, name in enumerate(names if isinstance(names, list) else ()):
            if isinstance(name, str):
                checker.known("segments", name, (*path, key, i), source)


def _message(checker: "Checker", part: Mapping[str, Any], path: Path, source: Source) -> None:
    given = part.get("variables")
    variables = given if isinstance(given, Mapping) else {}
    if isinstance(part.get("template"), str):
        platforms = part.get("platforms")
        each = [p for p in platforms if isinstance(p, str)] if isinstance(platforms, list) else []
        mine = [p for p in each if checker.policies and p in checker.policies.platforms]
        checker.usage(part["template"], variables, (*path, "template"), source, mine)
    elif isinstance(part.get("content"), str):
        for fault in templates.faults(part["content"], variables, _WORDS):
            source.problems.append(source.problem((*path, "content"), fault.what, fault.needle))

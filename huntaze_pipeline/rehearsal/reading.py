"""What an automation reads of a fan: the past is looked up for that and for nothing else.

Also which parts of its conditions are about the event alone; those are asked while the events are
scanned.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sqlglot import exp

from huntaze_pipeline.rulebook.conditions import Condition, parse
from huntaze_pipeline.rulebook.fields import FACTS
from huntaze_pipeline.rulebook.question import triggered
from huntaze_pipeline.rulebook.schema import Automation, Template

_MOMENT = 'event."moment"'
_IMPERSONAL = ("days_since", "hours_since", "starts_with")
"""Functions that read nothing of the fan besides what they are given."""
_FIELD = re.compile(r"\bfan\.(\w+)")
_SEGMENT = re.compile(r"in_segment\(\s*'((?:[^'])*)'", re.IGNORECASE)


@dataclass(frozen=True)
class Reading:
    """Fields of the fan (without `fan.`) and segments that a rule asks for."""

    asked: frozenset[str]
    """By the conditions of entering."""
    fields: frozenset[str]
    """By all conditions and texts, and what every message needs."""
    segments: frozenset[str]

    @classmethod
    def of(cls, rule: Automation, templates: Mapping[str, Template]) -> "Reading":
        """Read a rule and the templates that it sends."""
        entry = parse(rule.conditions)
        asked = {n.removeprefix("fan.") for n in entry.fields if n.startswith("fan.")}
        asked |= {"tags"} if "has_tag" in _calls(entry.node) else set()
        whole = json.dumps([rule.plain(), *(t.plain() for t in templates.values())])
        fields = {*_FIELD.findall(whole), *asked, "name"}
        segments = {*_SEGMENT.findall(whole), *entry.segments}
        return cls(frozenset(asked), frozenset(fields), frozenset(segments))

    @property
    def facts(self) -> frozenset[str]:
        """The facts among the fields."""
        return self.fields & FACTS.keys()


def early(rule: Automation) -> str:
    """Return the SQL boolean of what can be asked of an event before anything of its fan is known.

    It is the trigger's platform and properties and those parts of the conditions that all have to
    hold and are about the event; it never says no where the whole would say yes.
    """
    bare = rule.model_copy(update={"conditions": None})
    parts = [triggered(bare).sql]
    node = parse(rule.conditions).node
    for part in _conjuncts(node) if node is not None else ():
        condition = Condition(part, ("fan", "event"))
        if _impersonal(condition):
            parts.append(condition.sql(_MOMENT))
    return " and ".join(parts)


def _impersonal(condition: Condition) -> bool:
    named = condition.fields
    return (
        bool(named)
        and all(name.startswith("event.") for name in named)
        and _calls(condition.node) <= {*_IMPERSONAL}
    )


def _conjuncts(node: exp.Expr) -> Iterator[exp.Expr]:
    """The parts of an expression that all have to hold."""
    inner = node
    while isinstance(inner, exp.Paren):
        inner = inner.this
    if isinstance(inner, exp.And):
        yield from _conjuncts(inner.this)
        yield from _conjuncts(inner.expression)
    else:
        yield inner


def _calls(node: exp.Expr | None) -> set[str]:
    found = node.find_all(exp.Anonymous) if node is not None else ()
    return {str(call.this).lower() for call in found}

"""What can never happen: conditions that contradict themselves, and steps that nobody comes to.

Belongs here: what can be told without any data. Only sure things are told: bounds on the same
expression that exclude each other, values that differ, `null` beside a comparison.
"""

import operator
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlglot import exp

from huntaze_pipeline.rulebook import flow
from huntaze_pipeline.rulebook.conditions import Condition
from huntaze_pipeline.rulebook.schema import Trigger

_FLIPPED: dict[type[exp.Expr], type[exp.Expr]] = {
    exp.GT: exp.LT, exp.LT: exp.GT, exp.GTE: exp.LTE, exp.LTE: exp.GTE, exp.EQ: exp.EQ,
}  # fmt: skip
_SIGNS: dict[type[exp.Expr], Callable[[Any, Any], bool]] = {
    exp.EQ: operator.eq, exp.NEQ: operator.ne, exp.GT: operator.gt, exp.GTE: operator.ge,
    exp.LT: operator.lt, exp.LTE: operator.le,
}  # fmt: skip


@dataclass
class _Bounds:
    """What one expression must be, as far as a condition has said."""

    low: float = float("-inf")
    high: float = float("inf")
    strict_low: bool = False
    strict_high: bool = False
    values: set[str] | None = None
    null: bool | None = None
    said: list[str] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Whether nothing can be all of that."""
        crossed = self.low > self.high
        touching = self.low == self.high and (self.strict_low or self.strict_high)
        compared = self.values is not None or self.low > float("-inf") or self.high < float("inf")
        return crossed or touching or self.values == set() or (self.null is True and compared)


def contradiction(conditions: Iterable[Condition], trigger: Trigger | None = None) -> str | None:
    """Say why conditions can never hold together, or return None when they may.

    Args:
        conditions: all must hold.
        trigger: what is known of the event.
    """
    known: dict[str, _Bounds] = {}
    if trigger is not None:
        _know(known, "event.name", {trigger.event}, f"the trigger is {trigger.event}")
        if trigger.platform:
            told = f"the trigger is on {', '.join(trigger.platform)}"
            _know(known, "event.platform", set(trigger.platform), told)
    for condition in conditions:
        for part in _parts(condition.node):
            if _false(part):
                return f"{_text(part)} is never true"
            place = _learn(known, part)
            if place is not None and known[place].empty:
                return f"{' and '.join(dict.fromkeys(known[place].said))} are never true together"
    return None


def always(condition: Condition) -> bool:
    """Say whether a condition holds for everybody, because it asks nothing."""
    node = condition.node
    return node is not None and not _false(node) and _constant(node) is True


def strays(program: flow.Program) -> list[flow.Op]:
    """Return the first step of each part of a program that nobody comes to."""
    lost = program.unreachable()
    paths = {op.path for op in lost}
    return [
        op
        for op in lost
        if not any(op.path[: len(path)] == path for path in paths if path != op.path)
        and (*op.path[:-1], int(op.path[-1]) - 1) not in paths
    ]


def _parts(node: exp.Expr | None) -> Iterator[exp.Expr]:
    """Yield what must hold by itself: the members of `and`."""
    if isinstance(node, exp.Paren):
        yield from _parts(node.this)
    elif isinstance(node, exp.And):
        yield from _parts(node.this)
        yield from _parts(node.expression)
    elif node is not None:
        yield node


def _false(node: exp.Expr) -> bool:
    return _constant(node) is False


def _constant(node: exp.Expr) -> Any:
    """Return the value of an expression without fields; None when it has some or is not simple."""
    if isinstance(node, exp.Paren):
        return _constant(node.this)
    if isinstance(node, exp.Boolean):
        return bool(node.this)
    if isinstance(node, exp.Not):
        inner = _constant(node.this)
        return None if inner is None else not inner
    if isinstance(node, exp.EQ | exp.NEQ | exp.GT | exp.GTE | exp.LT | exp.LTE):
        left: Any = _literal(node.this)
        right: Any = _literal(node.expression)
        if left is None or right is None or type(left) is not type(right):
            return None
        return _SIGNS[type(node)](left, right)
    return None


def _literal(node: exp.Expr) -> float | str | None:
    if isinstance(node, exp.Neg):
        inner = _literal(node.this)
        return -inner if isinstance(inner, float) else None
    if not isinstance(node, exp.Literal):
        return None
    return node.name if node.is_string else float(node.name)


def _learn(known: dict[str, _Bounds], part: exp.Expr) -> str | None:
    """Note what one comparison says of an expression; return the expression's text."""
    if isinstance(part, exp.Between):
        _learn(known, exp.GTE(this=part.this.copy(), expression=part.args["low"].copy()))
        return _learn(known, exp.LTE(this=part.this.copy(), expression=part.args["high"].copy()))
    if isinstance(part, exp.Is) and isinstance(part.expression, exp.Null):
        place = _text(part.this)
        bounds = known.setdefault(place, _Bounds())
        bounds.null = True
        bounds.said.append(_text(part))
        return place
    if isinstance(part, exp.In) and part.expressions:
        values = [_literal(item) for item in part.expressions]
        if any(not isinstance(value, str) for value in values):
            return None
        return _know(known, _text(part.this), {str(v) for v in values}, _text(part))
    if type(part) in _FLIPPED:
        return _compared(known, part)
    return None


def _compared(known: dict[str, _Bounds], part: exp.Expr) -> str | None:
    left, right, kind = part.this, part.expression, type(part)
    if _literal(left) is not None:
        left, right, kind = right, left, _FLIPPED[kind]
    value, place = _literal(right), _text(left)
    if value is None or _literal(left) is not None:
        return None
    if isinstance(value, str):
        return _know(known, place, {value}, _text(part)) if kind is exp.EQ else None
    bounds = known.setdefault(place, _Bounds())
    bounds.said.append(_text(part))
    if kind in (exp.GT, exp.GTE, exp.EQ) and (value, kind is exp.GT) > (
        bounds.low, bounds.strict_low,
    ):  # fmt: skip
        bounds.low, bounds.strict_low = value, kind is exp.GT
    if kind in (exp.LT, exp.LTE, exp.EQ) and (-value, kind is exp.LT) > (
        -bounds.high, bounds.strict_high,
    ):  # fmt: skip
        bounds.high, bounds.strict_high = value, kind is exp.LT
    return place


def _know(known: dict[str, _Bounds], place: str, values: set[str], said: str) -> str:
    bounds = known.setdefault(place, _Bounds())
    bounds.values = values if bounds.values is None else bounds.values & values
    bounds.said.append(said)
    return place


def _text(node: exp.Expr) -> str:
    return node.sql(dialect="duckdb").replace('"', "")

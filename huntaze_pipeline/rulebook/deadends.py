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
_OPPOSITE: dict[type[exp.Expr], type[exp.Expr]] = {
    exp.GT: exp.LTE, exp.LT: exp.GTE, exp.GTE: exp.LT, exp.LTE: exp.GT, exp.EQ: exp.NEQ,
    exp.NEQ: exp.EQ,
}  # fmt: skip
_COUNTS = tuple(
    f"fan.{fact}"
    for fact in (
        "lifetime_spend", "purchases", "tips", "messages_received", "messages_opened",
        "messages_clicked",
    )
)  # fmt: skip
"""Fields that are never negative."""
_SIZES = ("abs", "count", "length")
"""Functions that give nothing negative."""
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
    nature: str = ""
    """What it is anyway, where that is a bound."""

    @property
    def why(self) -> list[str]:
        """What was said of it; its nature where no condition goes beyond that."""
        ends = self.low <= 0 or self.nature.endswith(f"below {self.high:g}")
        nature = [self.nature] if self.nature and ends else []
        return [*nature, *dict.fromkeys(self.said)]

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
    held: dict[str, bool] = {}
    for condition in conditions:
        for part in _parts(condition.node):
            if _false(part):
                return f"{_text(part)} is never true"
            asked = part.this if isinstance(part, exp.Not) else part
            if held.setdefault(_text(asked), asked is part) is not (asked is part):
                return f"{_text(asked)} and not {_text(asked)} are never true together"
            place = _learn(known, part)
            if place is not None and known[place].empty:
                return f"{' and '.join(known[place].why)} are never true together"
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
    elif isinstance(node, exp.Not):
        yield from _denied(node)
    elif node is not None:
        yield node


def _denied(node: exp.Not) -> Iterator[exp.Expr]:
    """Yield what must hold so that a negation does; what has no value fulfils neither."""
    inner = node.this
    while isinstance(inner, exp.Paren):
        inner = inner.this
    if isinstance(inner, exp.Not):
        yield from _parts(inner.this)
    elif isinstance(inner, exp.Or):
        yield from _denied(exp.Not(this=inner.this.copy()))
        yield from _denied(exp.Not(this=inner.expression.copy()))
    elif type(inner) in _OPPOSITE:
        both = inner.this.copy(), inner.expression.copy()
        yield _OPPOSITE[type(inner)](this=both[0], expression=both[1])
    else:
        yield exp.Not(this=inner.copy())


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
    bounds = known.setdefault(place, _within(left, place))
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


def _within(node: exp.Expr, place: str) -> _Bounds:
    """Return between what an expression always lies, whatever is asked of it."""
    called = str(node.this).lower() if isinstance(node, exp.Anonymous) else ""
    if called == "bucket" and isinstance(size := _literal(node.expressions[0]), float) and size > 0:
        return _Bounds(0.0, size, strict_high=True, nature=f"{place} lies from 0 to below {size:g}")
    if place in _COUNTS or called in _SIZES:
        return _Bounds(low=0.0, nature=f"{place} is never negative")
    return _Bounds()


def _know(known: dict[str, _Bounds], place: str, values: set[str], said: str) -> str:
    bounds = known.setdefault(place, _Bounds())
    bounds.values = values if bounds.values is None else bounds.values & values
    bounds.said.append(said)
    return place


def _text(node: exp.Expr) -> str:
    return node.sql(dialect="duckdb", normalize_functions=False).replace('"', "")

"""A goal's filter: one SQL condition over an event, as rows that a model can join.

The text is parsed by sqlglot, checked against an allow-list and brought into "any of these lists of
comparisons"; so nothing that a person writes ever becomes SQL. A comparison with a field that the
event does not have is false, also under `not`. What rules ask about fans is the rulebook's.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

FIELDS = (
    "name", "value", "currency", "platform", "account_id", "campaign_id", "message_id", "kind",
)  # fmt: skip
"""Of an event; and `properties.word`. `value` is in units, not in micros."""
MOST = 64
"""Alternatives of one filter; more are refused."""


class Test(NamedTuple):
    """One comparison; all of one alternative must hold."""

    __test__ = False

    alternative: int
    field: str
    op: str
    """=, <>, <, <=, >, >=, exists or missing."""
    text: str | None
    number: float | None
    """Set when the comparison is one of numbers."""


class FilterError(ValueError):
    """A filter that cannot be used, with the reason."""


_Leaf = tuple[str, str, str | None, float | None]
_Form = list[list[_Leaf]]
_COMPARISONS: dict[type[exp.Expr], tuple[str, str, str]] = {
    exp.EQ: ("=", "<>", "="), exp.NEQ: ("<>", "=", "<>"), exp.LT: ("<", ">=", ">"),
    exp.LTE: ("<=", ">", ">="), exp.GT: (">", "<=", "<"), exp.GTE: (">=", "<", "<="),
}  # fmt: skip
"""The operator, its opposite, and how it reads with its sides exchanged."""
_ALLOWED = "=, <>, <, <=, >, >=, in, between, is null, and, or, not"


def read(text: str) -> list[Test]:
    """Read a filter such as `value > 5 and platform = 'email'`.

    Raises:
        FilterError: it is no condition over an event's fields; says which part.
    """
    try:
        nodes = [node for node in sqlglot.parse(text, read="duckdb") if node is not None]
    except SqlglotError as error:
        raise FilterError(f"is no condition: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise FilterError("is nested too deeply") from None
    if len(nodes) != 1:
        raise FilterError("write one condition")
    form = _form(nodes[0], negated=False)
    return [Test(place, *leaf) for place, leaves in enumerate(form) for leaf in leaves]


def _form(node: exp.Expr, negated: bool) -> _Form:
    """The condition as any of lists of comparisons, `not` carried down to the comparisons."""
    if isinstance(node, exp.Paren):
        return _form(node.this, negated)
    if isinstance(node, exp.Not):
        return _form(node.this, not negated)
    if isinstance(node, exp.And | exp.Or):
        sides = [_form(side, negated) for side in (node.this, node.expression)]
        if isinstance(node, exp.And) is not negated:
            return _every(sides)
        return [*sides[0], *sides[1]]
    return _leaves(node, negated)


def _every(parts: Iterable[_Form]) -> _Form:
    result: _Form = [[]]
    for part in parts:
        result = [left + right for left in result for right in part]
        if len(result) > MOST:
            raise FilterError(f"has more than {MOST} alternatives; write it shorter")
    return result


def _leaves(node: exp.Expr, negated: bool) -> _Form:
    for kind, read in _READERS.items():
        if isinstance(node, kind):
            return read(node, negated)
    raise FilterError(f"{node.sql('duckdb')!r} is not allowed here; there are {_ALLOWED}")


def _comparison(node: exp.Expr, negated: bool) -> _Form:
    op, opposite, exchanged = _COMPARISONS[type(node)]
    left, right = node.this, node.expression
    if not _is_field(left) and _is_field(right):
        left, right = right, left
        op, opposite, _ = _COMPARISONS[_kind(exchanged)]
    return [[_leaf(left, opposite if negated else op, right)]]


def _kind(op: str) -> type[exp.Expr]:
    return next(kind for kind, (own, _, _) in _COMPARISONS.items() if own == op)


def _between(node: exp.Expr, negated: bool) -> _Form:
    low, high = node.args["low"], node.args["high"]
    if negated:
        return [[_leaf(node.this, "<", low)], [_leaf(node.this, ">", high)]]
    return [[_leaf(node.this, ">=", low), _leaf(node.this, "<=", high)]]


def _in(node: exp.Expr, negated: bool) -> _Form:
    if not node.expressions:
        raise FilterError("`in` needs a list of values")
    if negated:
        return [[_leaf(node.this, "<>", value) for value in node.expressions]]
    return [[_leaf(node.this, "=", value)] for value in node.expressions]


def _null(node: exp.Expr, negated: bool) -> _Form:
    if not isinstance(node.expression, exp.Null):
        raise FilterError(f"{node.sql('duckdb')!r}: write `is null` or `is not null`")
    return [[(_field(node.this), "exists" if negated else "missing", None, None)]]


_READERS: dict[type[exp.Expr], Callable[[exp.Expr, bool], _Form]] = {
    **dict.fromkeys(_COMPARISONS, _comparison),
    exp.Between: _between, exp.In: _in, exp.Is: _null,
}  # fmt: skip


def _leaf(column: exp.Expr, op: str, value: exp.Expr) -> _Leaf:
    field, (text, number) = _field(column), _literal(value)
    if field == "value" and number is None:
        raise FilterError(f"value is a number, not {value.sql('duckdb')}")
    return field, op, text, number


def _is_field(node: exp.Expr) -> bool:
    return isinstance(node, exp.Column | exp.Dot)


def _field(node: exp.Expr) -> str:
    name = node.sql("duckdb").replace('"', "") if _is_field(node) else ""
    head, _, word = name.partition(".")
    if name.lower() in FIELDS:
        return name.lower()
    if head.lower() == "properties" and word and "." not in word:
        return f"properties.{word}"
    known = ", ".join((*FIELDS, "properties.word"))
    raise FilterError(f"{node.sql('duckdb')!r} is no field of an event; there are {known}")


def _literal(node: exp.Expr) -> tuple[str | None, float | None]:
    if isinstance(node, exp.Neg):
        _, number = _literal(node.this)
        if number is not None:
            return None, -number
    if isinstance(node, exp.Boolean):
        return ("true" if node.this else "false"), None
    if isinstance(node, exp.Literal):
        return (node.name, None) if node.is_string else (None, float(node.name))
    raise FilterError(f"{node.sql('duckdb')!r} is neither a number, a text nor true or false")

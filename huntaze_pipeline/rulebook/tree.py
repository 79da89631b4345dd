"""The JSON form of a condition (`all` / `any` / `not`, `{field, op, value}`) as an expression.

Nodes are built, never pasted: a value from a file or a request cannot become SQL.
"""

import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from sqlglot import exp

from huntaze_pipeline.clock import duration
from huntaze_pipeline.rulebook.fields import nearest
from huntaze_pipeline.rulebook.language import PLACE, Fault, finite
from huntaze_pipeline.wording import plain

Key = tuple[str | int, ...]
_FIELD = re.compile(r"^[A-Za-z_][\w]*(\.[\w-]+){0,3}$")
_MAX_DEPTH = 20


def from_tree(tree: Any, path: Key, faults: list[Fault]) -> exp.Expr | None:
    """Turn the JSON form into an expression; what cannot be read is added to `faults`."""
    if len(path) > _MAX_DEPTH * 2:
        faults.append(Fault("the condition is nested too deeply", path=path))
        return None
    if isinstance(tree, list):
        return _group(tree, exp.And, path, faults)
    if not isinstance(tree, dict):
        faults.append(
            Fault(f"{plain(tree)} is no condition; write an expression or all/any/not", path=path)
        )
        return None
    for name, joiner in (("all", exp.And), ("any", exp.Or)):
        if set(tree) == {name}:
            return _group(tree[name], joiner, (*path, name), faults)
    if set(tree) == {"not"}:
        inner = from_tree(tree["not"], (*path, "not"), faults)
        return exp.Not(this=exp.Paren(this=inner)) if inner is not None else None
    if set(tree) == {"expression"} and isinstance(tree["expression"], str):
        from huntaze_pipeline.rulebook.conditions import parse

        return _nested(parse, tree["expression"], path, faults)
    return _leaf(tree, path, faults)


def _nested(
    parse: Callable[..., Any], text: str, path: Key, faults: list[Fault]
) -> exp.Expr | None:
    try:
        node = parse(text).node
        return node.copy() if node is not None else None
    except ValueError as error:
        inner = getattr(error, "faults", [])
        faults += [Fault(f.what, f.needle, f.nth, (*path, "expression")) for f in inner]
        return None


def _group(
    items: Any, joiner: type[exp.Connector], path: Key, faults: list[Fault]
) -> exp.Expr | None:
    if not isinstance(items, list) or not items:
        faults.append(Fault("needs a list with at least one condition", path=path))
        return None
    nodes = [from_tree(item, (*path, i), faults) for i, item in enumerate(items)]
    result: exp.Expr | None = None
    for node in nodes:
        if node is not None:
            wrapped = exp.Paren(this=node)
            result = wrapped if result is None else joiner(this=result, expression=wrapped)
    return result


def _leaf(tree: dict[str, Any], path: Key, faults: list[Fault]) -> exp.Expr | None:
    word = "op" if "op" in tree else "operator"
    written = str(tree.get(word, "eq"))
    op = written.lower().replace(" ", "_")
    unknown = set(tree) - {"field", "op", "operator", "value"}
    if unknown or not isinstance(tree.get("field"), str):
        extra = f", not {', '.join(sorted(unknown))}" if unknown else ""
        faults.append(Fault(f"needs field, op and value (or all, any, not){extra}", path=path))
        return None
    if not _FIELD.fullmatch(tree["field"]):
        what = f"{tree['field']!r} is no field; write fan.… or event.…"
        faults.append(Fault(what, path=(*path, "field")))
        return None
    if op not in _OPS:
        what = f"unknown op {written!r}{nearest(op, list(_OPS))}"
        faults.append(Fault(what, path=(*path, word)))
        return _named(tree["field"], path)
    try:
        node = _OPS[op](_column(tree["field"]), tree.get("value"))
        node.meta[PLACE] = path
        return node
    except (ValueError, TypeError) as error:
        faults.append(Fault(str(error), path=(*path, "value")))
        return _named(tree["field"], path)


def _named(field: str, path: Key) -> exp.Expr:
    """Return a condition that any field meets, so that the field's name is checked all the same."""
    node = exp.Not(this=_null(_column(field), None))
    node.meta[PLACE] = path
    return node


def _column(field: str) -> exp.Column:
    parts = field.split(".") if "." in field else ["fan", field]
    names = [exp.to_identifier(part, quoted=True) for part in parts]
    keys = ("this", "table", "db", "catalog")
    return exp.Column(**dict(zip(keys, reversed(names), strict=False)))


def _literal(value: Any) -> exp.Expr:
    if isinstance(value, bool):
        return exp.Boolean(this=value)
    if isinstance(value, int | float):
        if finite(repr(value)) is None:
            raise ValueError(f"{value!r} is no number to compare with")
        number = exp.Literal.number(repr(abs(value)))
        return exp.Neg(this=number) if value < 0 else number
    if isinstance(value, datetime | date):
        return exp.Literal.string(value.isoformat())
    if isinstance(value, str):
        return exp.Literal.string(value)
    raise ValueError(f"{value!r} cannot be compared with; write a number, a text or true/false")


def _listed(value: Any) -> list[exp.Expr]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"{value!r} is no list; `in` needs at least one value")
    return [_literal(item) for item in value]


def _between(column: exp.Expr, value: Any) -> exp.Expr:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"{value!r} is no pair; `between` needs [low, high]")
    return exp.Between(this=column, low=_literal(value[0]), high=_literal(value[1]))


def _age(compare: type[exp.Binary]) -> Callable[[exp.Expr, Any], exp.Expr]:
    def build(column: exp.Expr, value: Any) -> exp.Expr:
        hours = duration(str(value)).total_seconds() / 3600
        since = exp.Anonymous(this="hours_since", expressions=[column])
        return compare(this=since, expression=exp.Literal.number(repr(hours)))

    return build


def _compare(node: type[exp.Binary]) -> Callable[[exp.Expr, Any], exp.Expr]:
    return lambda column, value: node(this=column, expression=_literal(value))


def _null(column: exp.Expr, _: Any) -> exp.Expr:
    return exp.Is(this=column, expression=exp.Null())


def _has(column: exp.Expr, value: Any) -> exp.Expr:
    return exp.Anonymous(this="contains", expressions=[column, _literal(value)])


def _starts(column: exp.Expr, value: Any) -> exp.Expr:
    return exp.Anonymous(this="starts_with", expressions=[column, _literal(value)])


_OPS: dict[str, Callable[[exp.Expr, Any], exp.Expr]] = {
    **dict.fromkeys(("eq", "=", "==", "equals"), _compare(exp.EQ)),
    **dict.fromkeys(("ne", "!=", "<>", "not_equals"), _compare(exp.NEQ)),
    **dict.fromkeys(("gt", ">", "greater_than"), _compare(exp.GT)),
    **dict.fromkeys(("gte", ">=", "at_least"), _compare(exp.GTE)),
    **dict.fromkeys(("lt", "<", "less_than"), _compare(exp.LT)),
    **dict.fromkeys(("lte", "<=", "at_most"), _compare(exp.LTE)),
    "in": lambda column, value: exp.In(this=column, expressions=_listed(value)),
    "not_in": lambda c, v: exp.Not(this=exp.In(this=c, expressions=_listed(v))),
    "between": _between,
    "contains": _has,
    "starts_with": _starts,
    "exists": lambda column, value: exp.Not(this=_null(column, value)),
    "missing": _null,
    "older_than": _age(exp.GTE),
    "within": _age(exp.LTE),
}

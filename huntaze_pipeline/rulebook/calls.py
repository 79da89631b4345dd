"""Calls of functions in conditions: which value each takes, and the SQL or feature it becomes.

Belongs here: reading arguments. The functions themselves are listed in `language`, what a feature
computes is `behaviour`'s, everything that is no call is `compiler`'s.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlglot import exp

from huntaze_pipeline.clock import duration
from huntaze_pipeline.events.envelope import NAMES, known_name
from huntaze_pipeline.rulebook.behaviour import VALUE, Feature
from huntaze_pipeline.rulebook.fields import COUNTED, Type, nearest
from huntaze_pipeline.rulebook.language import (
    AGES,
    BEHAVIOURS,
    FREE,
    FUNCTIONS,
    NAMED,
    SPECIAL,
    finite,
    quote,
)

if TYPE_CHECKING:
    from huntaze_pipeline.rulebook.compiler import Compiler

Sql = tuple[str, Type]
_LONGEST = timedelta(days=36_500)
_BUCKETS = 1_000_000
_DIGITS = 6
"""Of the largest number of events that a behaviour may be asked for."""


def call(compiler: "Compiler", node: exp.Expr) -> Sql:
    """Compile one call."""
    name = str(node.this).lower()
    allowed = (*FUNCTIONS, *SPECIAL, *BEHAVIOURS)
    if compiler.scopes == ("counted",):
        if name in allowed and name not in FREE:
            only = ", ".join(FREE)
            return compiler.fault(f"{name} cannot be used inside `where`: only {only}", node)
        allowed = FREE
    if name not in allowed:
        return compiler.fault(f"unknown function {name!r}{nearest(name, allowed)}", node)
    if name in BEHAVIOURS:
        return _behaviour(compiler, name, node)
    bad = next((n for n in node.expressions if isinstance(n, exp.Kwarg | exp.PropertyEQ)), None)
    if bad is not None:
        return compiler.fault(f"{name} takes its values by place, not by name", node)
    if name in _SPECIAL:
        return _SPECIAL[name](compiler, node, node.expressions)
    return _plain(compiler, name, node)


def _plain(compiler: "Compiler", name: str, node: exp.Expr) -> Sql:
    function, given = FUNCTIONS[name], node.expressions
    compiler.reads.update(function.reads)
    if len(given) != len(function.takes):
        takes = f"{len(function.takes)} value{'s'[: len(function.takes) > 1]}"
        return compiler.fault(f"{name} takes {takes}, not {len(given)}", node, kind=function.gives)
    if name == "bucket" and compiler.declared is not None:
        _buckets(compiler, given[0])
    values = [
        compiler.expect(compiler.visit(each), kind, each)[0]
        for each, kind in zip(given, function.takes, strict=True)
    ]
    sql = function.sql.format(*values, as_of=compiler.as_of)
    if name in AGES and compiler.of_row(given[0]):
        compiler.taken[sql] = None
    return sql, function.gives


def _buckets(compiler: "Compiler", node: exp.Expr) -> None:
    """Where files are checked, tell of a number of buckets that is none."""
    inner = node.this if isinstance(node, exp.Neg) else node
    number = None if is_text(inner) or not isinstance(inner, exp.Literal) else finite(inner.name)
    if number is None:
        return
    if inner is not node or not number.is_integer() or not 1 <= number <= _BUCKETS:
        what = f"bucket takes a whole number from 1, at most {_BUCKETS}: bucket(100) < 10"
        compiler.fault(what, node)


def _in_segment(compiler: "Compiler", node: exp.Expr, given: list[exp.Expr]) -> Sql:
    if len(given) != 1 or not is_text(given[0]):
        what = "in_segment takes one name in quotes: in_segment('vip')"
        return compiler.fault(what, node, kind=Type.BOOL)
    if "fan" not in compiler.scopes:
        return compiler.fault("in_segment asks about a fan; there is none here", node)
    compiler.reads.add("fan.segments")
    return compiler.segment(given[0].name), Type.BOOL


def _contains(compiler: "Compiler", node: exp.Expr, given: list[exp.Expr]) -> Sql:
    if len(given) != 2:
        what = "contains takes 2 values: a text or list, and what is in it"
        return compiler.fault(what, node, kind=Type.BOOL)
    inside = compiler.visit(given[0])
    part = compiler.expect(compiler.visit(given[1]), Type.TEXT, given[1])[0]
    if inside[1] is Type.LIST:
        return f"list_contains({inside[0]}, {part})", Type.BOOL
    return f"contains({compiler.expect(inside, Type.TEXT, given[0])[0]}, {part})", Type.BOOL


def _coalesce(compiler: "Compiler", node: exp.Expr, given: list[exp.Expr]) -> Sql:
    if not given:
        return compiler.fault("coalesce takes values: coalesce(fan.name, 'you')", node)
    values = [compiler.visit(item) for item in given]
    kind = next((v[1] for v in values if v[1] not in (Type.ANY, Type.NULL)), Type.ANY)
    texts = [
        v[0]
        if kind is Type.ANY
        else compiler.expect(compiler.instant(v, i, ("", kind)), kind, i)[0]
        for v, i in zip(values, given, strict=True)
    ]
    return f"coalesce({', '.join(texts)})", kind


def _number(compiler: "Compiler", node: exp.Expr, given: list[exp.Expr]) -> Sql:
    if len(given) != 1:
        return compiler.fault(f"number takes 1 value, not {len(given)}", node, kind=Type.NUMBER)
    value = compiler.visit(given[0])
    if value[1] not in (Type.ANY, Type.TEXT, Type.NUMBER, Type.NULL):
        return compiler.fault("number reads a text or a property", node, kind=Type.NUMBER)
    return f"TRY_CAST({value[0]} AS DOUBLE)", Type.NUMBER


_SPECIAL: dict[str, Callable[["Compiler", exp.Expr, list[exp.Expr]], Sql]] = {
    "coalesce": _coalesce, "contains": _contains, "in_segment": _in_segment, "number": _number,
}  # fmt: skip


@dataclass
class _Given:
    """What a behaviour was called with."""

    places: list[exp.Expr] = field(default_factory=list)
    named: dict[str, exp.Expr] = field(default_factory=dict)


def _behaviour(compiler: "Compiler", name: str, node: exp.Expr) -> Sql:
    kind = Type.BOOL if name in ("performed", "received") else Type.NUMBER
    if "fan" not in compiler.scopes:
        return compiler.fault(f"{name} asks about a fan; there is none here", node, kind=kind)
    before = len(compiler.faults)
    given = _given(compiler, name, node)
    event, where = _event(compiler, name, node, given), _where(compiler, given)
    value, kind = _value(compiler, name, node, given, kind)
    within, at_least = _within(compiler, given), _at_least(compiler, given)
    if len(compiler.faults) > before:
        return "NULL", kind
    if name == "received":
        where = f"(json_extract_string(counted.\"properties\", '$.template') = {quote(event)})"
        event = "sent"
    counts = name in ("performed", "received", "count")
    feature = Feature(event, "count" if counts else name, value, where, within)
    compiler.features.append(feature)
    column = f'fan."{feature.key}"'
    if name in ("performed", "received"):
        return f"(coalesce({column}, 0) >= {at_least})", Type.BOOL
    return (f"coalesce({column}, 0.0)" if name in ("count", "sum") else column), kind


def _given(compiler: "Compiler", name: str, node: exp.Expr) -> _Given:
    """Sort the arguments, and note those that have no business here."""
    found = _Given()
    takes = {"received": ("within", "at_least"), "performed": NAMED}.get(name, ("within", "where"))
    for each in node.expressions:
        if isinstance(each, exp.PropertyEQ):
            compiler.fault(f"write {each.name} => …, with an arrow", each)
        elif not isinstance(each, exp.Kwarg):
            found.places.append(each)
            if found.named:
                compiler.fault(f"{name}: values by name come last", each)
        elif each.name.lower() not in takes or each.name.lower() in found.named:
            twice = each.name.lower() in found.named
            what = "is given twice" if twice else f"is unknown{nearest(each.name.lower(), takes)}"
            compiler.fault(f"{name}: {each.name!r} {what}", node, each.name)
        else:
            found.named[each.name.lower()] = each.args["expression"]
    return found


def _event(compiler: "Compiler", name: str, node: exp.Expr, given: _Given) -> str:
    first = given.places[0] if given.places else None
    if first is None or not is_text(first):
        what = "a template's id" if name == "received" else "an event's name"
        example = "content_poll" if name == "received" else "purchase"
        compiler.fault(f"{name} begins with {what} in quotes: {name}('{example}')", first or node)
        return ""
    if name != "received" and not known_name(first.name):
        hint = f"{nearest(first.name, NAMES)} (or custom:word)"
        compiler.fault(f"unknown event {first.name!r}{hint}", first)
    elif name != "received" and compiler.declared:
        stranger = compiler.declared.stranger(first.name)
        if stranger:
            compiler.fault(stranger, first)
    return first.name


def _value(
    compiler: "Compiler", name: str, node: exp.Expr, given: _Given, kind: Type
) -> tuple[str | None, Type]:
    """Return the field that is added up or looked at, as SQL, and the type of the result."""
    needs, may = name in ("sum", "avg", "min", "max"), name in ("first", "last")
    rest = given.places[1:]
    if needs and not rest:
        what = f"{name} needs what to look at: {name}('purchase', value) or properties.word"
        compiler.fault(what, node)
        return None, kind
    if len(rest) > (1 if needs or may else 0):
        compiler.fault(f"{name} takes {'2 values' if needs or may else '1 value'} by place", node)
        return None, kind
    if not rest:
        return None, Type.TIME if may else kind
    if not isinstance(rest[0], exp.Column):
        compiler.fault(f"{name} looks at one field: {', '.join(COUNTED)}, properties.word", rest[0])
        return None, kind
    sql, found = _inner(compiler, given).visit(rest[0])
    if needs:
        compiler.expect((sql, found), Type.NUMBER, rest[0])
    return (VALUE if sql == 'counted."value"' else sql), Type.NUMBER if needs else found


def _where(compiler: "Compiler", given: _Given) -> str | None:
    where = given.named.get("where")
    if where is None:
        return None
    inner = _inner(compiler, given)
    sql, _ = inner.boolean(where)
    return sql


def _inner(compiler: "Compiler", given: _Given) -> "Compiler":
    """Return a compiler for fields of the counted event, whose faults are the outer one's."""
    from huntaze_pipeline.rulebook.compiler import Counted

    event = given.places[0].name if given.places else None
    inner = Counted(compiler.text, compiler.declared and compiler.declared.about(event))
    inner.faults = compiler.faults
    return inner


def _within(compiler: "Compiler", given: _Given) -> timedelta | None:
    node = given.named.get("within")
    if node is None:
        return None
    try:
        if not is_text(node):
            raise ValueError("within takes a duration in quotes: within => '30d'")
        window = duration(node.name)
        if not timedelta(0) < window <= _LONGEST:
            raise ValueError(f"within must be longer than nothing, and at most {_LONGEST.days}d")
        return window
    except ValueError as error:
        compiler.fault(str(error), node)
        return None


def _at_least(compiler: "Compiler", given: _Given) -> int:
    node = given.named.get("at_least")
    if node is None:
        return 1
    digits = node.name if isinstance(node, exp.Literal) and node.name.isdecimal() else ""
    if 0 < len(digits) <= _DIGITS and int(digits) > 0:
        return int(digits)
    compiler.fault("at_least takes a whole number from 1, at most 999999: at_least => 2", node)
    return 1


def is_text(node: exp.Expr) -> bool:
    """Say whether a node is a text in quotes."""
    return isinstance(node, exp.Literal) and bool(node.args.get("is_string"))

"""The allow-list of the condition language, its types, and the SQL that it becomes.

The SQL is written anew from the nodes that are known; nothing of the author's text is copied.
A node, function or field that is not listed here is a fault.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime

from sqlglot import exp

from huntaze_pipeline.rulebook.fields import OPEN, SCOPES, Type, nearest
from huntaze_pipeline.rulebook.language import (
    FUNCTIONS,
    MIDNIGHT,
    NODES,
    SPECIAL,
    Fault,
    quote,
)

Sql = tuple[str, Type]
_COMPARE = {
    exp.EQ: "=", exp.NEQ: "<>", exp.GT: ">", exp.GTE: ">=", exp.LT: "<", exp.LTE: "<=",
}  # fmt: skip
_ARITHMETIC = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*"}
_KEY = re.compile(r"^[\w-]{1,64}$")
_CASTS = {Type.NUMBER: "DOUBLE", Type.BOOL: "BOOLEAN", Type.TIME: "TIMESTAMPTZ", Type.DATE: "DATE"}


def _in_list(segment: str) -> str:
    return f"coalesce(list_contains(fan.segments, {quote(segment)}), false)"


class Compiler:
    """Walks one expression; collects every fault and returns SQL with its type."""

    def __init__(
        self,
        scopes: tuple[str, ...],
        *,
        as_of: str = "as_of",
        segment: Callable[[str], str] | None = None,
    ) -> None:
        self.scopes = scopes
        self.as_of = as_of
        self.segment = segment or _in_list
        self.faults: list[Fault] = []

    def boolean(self, node: exp.Expr) -> Sql:
        """Compile a node that must be true or false."""
        return self._expect(self.visit(node), Type.BOOL, node)

    def visit(self, node: exp.Expr) -> Sql:
        """Compile any node of the language."""
        kind = type(node)
        if kind in _COMPARE:
            return self._comparison(node, _COMPARE[kind])
        if kind in _ARITHMETIC or kind in (exp.Div, exp.Mod):
            return self._arithmetic(node)
        if kind in (exp.And, exp.Or):
            left, right = self.boolean(node.this)[0], self.boolean(node.expression)[0]
            return f"({left} {'AND' if kind is exp.And else 'OR'} {right})", Type.BOOL
        handler = _HANDLERS.get(kind)
        if handler is not None:
            return handler(self, node)
        if kind in NODES:
            arguments = [node.this, node.args.get("expression")]
            return self._call(NODES[kind], [a for a in arguments if a is not None])
        if kind is exp.Anonymous:
            return self._call(str(node.this).lower(), node.expressions)
        if isinstance(node, exp.Func):
            return self._unknown_function(node.sql_name().lower())
        return self._fault(
            f"{_excerpt(node)} is not part of the condition language: fields, operators, values "
            f"and the functions {', '.join(sorted({*FUNCTIONS, *SPECIAL}))}"
        )

    def fault(self, what: str, needle: str = "") -> Sql:
        """Note a fault; the SQL that is returned is never run."""
        return self._fault(what, needle)

    def _fault(self, what: str, needle: str = "", kind: Type = Type.NULL) -> Sql:
        self.faults.append(Fault(what, needle))
        return "NULL", kind

    def _column(self, node: exp.Expr) -> Sql:
        parts = [part.name for part in node.parts]  # pyright: ignore[reportAttributeAccessIssue]
        scope = parts[0].lower()
        text = ".".join(parts)
        if scope not in SCOPES or len(parts) == 1:
            near = [f"{s}.{f}" for s in self.scopes for f in SCOPES[s]]
            return self._fault(f"unknown field {text!r}{_near_field(text, near)}", text)
        if scope not in self.scopes:
            return self._fault(f"{text} cannot be asked here: only {', '.join(self.scopes)}", text)
        if parts[1].lower() == OPEN[scope]:
            return self._open(scope, parts, text)
        name = parts[1].lower()
        if name not in SCOPES[scope] or len(parts) > 2:
            known = [f"{scope}.{f}" for f in (*SCOPES[scope], OPEN[scope])]
            return self._fault(f"unknown field {text!r}{nearest(text, known)}", text)
        return f'{scope}."{name}"', SCOPES[scope][name]

    def _open(self, scope: str, parts: list[str], text: str) -> Sql:
        keys = parts[2:]
        if not keys or not all(_KEY.match(key) for key in keys):
            return self._fault(f"name what you ask for below {scope}.{OPEN[scope]}", text)
        path = "$" + "".join(f'."{key}"' for key in keys)
        return f'json_extract_string({scope}."{OPEN[scope]}", {quote(path)})', Type.ANY

    def _literal(self, node: exp.Expr) -> Sql:
        if node.args.get("is_string"):
            return quote(node.name), Type.TEXT
        try:
            return f"CAST({float(node.name)!r} AS DOUBLE)", Type.NUMBER
        except ValueError:
            return self._fault(f"{node.name!r} is no number", node.name)

    def _comparison(self, node: exp.Expr, operator: str) -> Sql:
        left, right = self._pair(node.this, node.args["expression"], node)
        return f"({left} {operator} {right})", Type.BOOL

    def _pair(self, a: exp.Expr, b: exp.Expr, node: exp.Expr) -> tuple[str, str]:
        left, right = self.visit(a), self.visit(b)
        return self._alike(left, b, right, a, node)

    def _alike(
        self, left: Sql, b: exp.Expr, right: Sql, a: exp.Expr, node: exp.Expr
    ) -> tuple[str, str]:
        """Bring two values to one type, or say that they cannot be compared."""
        if Type.NULL in (left[1], right[1]):
            if isinstance(a, exp.Null) or isinstance(b, exp.Null):
                self._fault("nothing equals null; write `is null` or `is not null`", "null")
            return left[0], right[0]
        if left[1] is Type.ANY or right[1] is Type.ANY:
            return self._cast(left, right[1]), self._cast(right, left[1])
        left, right = self._instant(left, a, right), self._instant(right, b, left)
        if left[1] is not right[1] and Type.NULL not in (left[1], right[1]):
            self._fault(
                f"{_excerpt(node)} compares {_named(left[1])} with {_named(right[1])}", _word(a)
            )
        return left[0], right[0]

    def _instant(self, value: Sql, node: exp.Expr, other: Sql) -> Sql:
        """Read a text literal beside a time as an instant, and a date beside a time as midnight."""
        if other[1] not in (Type.TIME, Type.DATE) or value[1] is other[1]:
            return value
        if value[1] is Type.DATE:
            return MIDNIGHT.format(value[0]), Type.TIME
        if value[1] is not Type.TEXT or not isinstance(node, exp.Literal):
            return value
        try:
            at = datetime.fromisoformat(node.name)
        except ValueError:
            return self._fault(f"{node.name!r} is no time; write 2026-03-01T09:00:00Z", node.name)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        kind = other[1]
        text = at.date().isoformat() if kind is Type.DATE else at.astimezone(UTC).isoformat()
        return f"CAST({quote(text)} AS {_CASTS[kind]})", kind

    def _cast(self, value: Sql, to: Type) -> str:
        if value[1] is not Type.ANY or to not in _CASTS:
            return value[0]
        return f"TRY_CAST({value[0]} AS {_CASTS[to]})"

    def _expect(self, value: Sql, kind: Type, node: exp.Expr) -> Sql:
        if value[1] is kind or value[1] is Type.NULL:
            return value
        if value[1] is Type.ANY:
            return self._cast(value, kind), kind
        if kind is Type.TIME and value[1] is Type.DATE:
            return MIDNIGHT.format(value[0]), kind
        what = f"{_excerpt(node)} is {_named(value[1])}; here it must be {_named(kind)}"
        return self._fault(what, _word(node), kind)

    def _arithmetic(self, node: exp.Expr) -> Sql:
        left = self._expect(self.visit(node.this), Type.NUMBER, node.this)[0]
        right = self._expect(
            self.visit(node.args["expression"]), Type.NUMBER, node.args["expression"]
        )[0]
        if isinstance(node, exp.Div | exp.Mod):
            sign = "/" if isinstance(node, exp.Div) else "%"
            return f"({left} {sign} nullif({right}, 0.0))", Type.NUMBER
        return f"({left} {_ARITHMETIC[type(node)]} {right})", Type.NUMBER

    def _negative(self, node: exp.Expr) -> Sql:
        return f"(-{self._expect(self.visit(node.this), Type.NUMBER, node.this)[0]})", Type.NUMBER

    def _not(self, node: exp.Expr) -> Sql:
        return f"(NOT {self.boolean(node.this)[0]})", Type.BOOL

    def _paren(self, node: exp.Expr) -> Sql:
        return self.visit(node.this)

    def _is(self, node: exp.Expr) -> Sql:
        other = node.args["expression"]
        if isinstance(other, exp.Null):
            return f"({self.visit(node.this)[0]} IS NULL)", Type.BOOL
        if isinstance(other, exp.Boolean):
            sign = "TRUE" if other.this else "FALSE"
            return f"({self.boolean(node.this)[0]} IS NOT DISTINCT FROM {sign})", Type.BOOL
        return self._fault("after `is` write null, not null, true or false", "is")

    def _in(self, node: exp.Expr) -> Sql:
        if not node.expressions or node.args.get("query") or node.args.get("unnest"):
            return self._fault("after `in` write a list of values: ('a', 'b')", "in")
        value = self.visit(node.this)
        parts = []
        for item in node.expressions:
            left, right = self._alike(value, item, self.visit(item), node.this, node)
            parts.append(f"({left} = {right})")
        return "(" + " OR ".join(parts) + ")", Type.BOOL

    def _between(self, node: exp.Expr) -> Sql:
        if node.args.get("symmetric") is not None:
            return self._fault("write `between low and high`, without symmetric", "symmetric")
        low = self._pair(node.this, node.args["low"], node)
        high = self._pair(node.this, node.args["high"], node)
        return f"({low[0]} >= {low[1]} AND {high[0]} <= {high[1]})", Type.BOOL

    def _like(self, node: exp.Expr) -> Sql:
        left = self._expect(self.visit(node.this), Type.TEXT, node.this)[0]
        right = self._expect(
            self.visit(node.args["expression"]), Type.TEXT, node.args["expression"]
        )[0]
        return f"({left} {'ILIKE' if isinstance(node, exp.ILike) else 'LIKE'} {right})", Type.BOOL

    def _call(self, name: str, arguments: list[exp.Expr]) -> Sql:
        if name == "in_segment":
            return self._in_segment(arguments)
        if name == "contains":
            return self._contains(arguments)
        function = FUNCTIONS.get(name)
        if function is None:
            return self._unknown_function(name)
        if len(arguments) != len(function.takes):
            takes = f"{len(function.takes)} value{'s'[: len(function.takes) > 1]}"
            return self._fault(f"{name} takes {takes}, not {len(arguments)}", name, function.gives)
        values = [
            self._expect(self.visit(node), kind, node)[0]
            for node, kind in zip(arguments, function.takes, strict=True)
        ]
        return function.sql.format(*values, as_of=self.as_of), function.gives

    def _unknown_function(self, name: str) -> Sql:
        known = [*FUNCTIONS, *SPECIAL]
        return self._fault(f"unknown function {name!r}{nearest(name, known)}", name)

    def _in_segment(self, arguments: list[exp.Expr]) -> Sql:
        if len(arguments) != 1 or not _is_text(arguments[0]):
            return self._fault(
                "in_segment takes one name in quotes: in_segment('vip')", "in_segment"
            )
        return self.segment(arguments[0].name), Type.BOOL

    def _contains(self, arguments: list[exp.Expr]) -> Sql:
        if len(arguments) != 2:
            return self._fault(
                "contains takes 2 values: a text or list, and what is in it", "contains"
            )
        inside = self.visit(arguments[0])
        part = self._expect(self.visit(arguments[1]), Type.TEXT, arguments[1])[0]
        if inside[1] is Type.LIST:
            return f"list_contains({inside[0]}, {part})", Type.BOOL
        return f"contains({self._expect(inside, Type.TEXT, arguments[0])[0]}, {part})", Type.BOOL

    def _coalesce(self, node: exp.Expr) -> Sql:
        items = [node.this, *node.expressions]
        values = [self.visit(item) for item in items]
        kind = next((v[1] for v in values if v[1] not in (Type.ANY, Type.NULL)), Type.ANY)
        texts = [
            v[0] if kind is Type.ANY else self._expect(self._instant(v, i, ("", kind)), kind, i)[0]
            for v, i in zip(values, items, strict=True)
        ]
        return f"coalesce({', '.join(texts)})", kind

    def _boolean_literal(self, node: exp.Expr) -> Sql:
        return ("TRUE" if node.this else "FALSE"), Type.BOOL

    def _null(self, _: exp.Expr) -> Sql:
        return "NULL", Type.NULL


def _excerpt(node: exp.Expr) -> str:
    try:
        text = node.sql(dialect="duckdb")
    except (ValueError, RecursionError):
        text = type(node).__name__
    return repr(text if len(text) <= 60 else text[:57] + "…")


def _word(node: exp.Expr) -> str:
    return ".".join(p.name for p in node.parts) if isinstance(node, exp.Column) else node.name


def _named(kind: Type) -> str:
    return kind.value if kind is Type.BOOL else f"a {kind.value}"


def _near_field(text: str, known: list[str]) -> str:
    """Find the field even when its scope was left out."""
    by_name = {name.split(".", 1)[1]: name for name in reversed(known)}
    return nearest(by_name.get(text.lower(), text), known)


def _is_text(node: exp.Expr) -> bool:
    return isinstance(node, exp.Literal) and bool(node.args.get("is_string"))


_HANDLERS: dict[type[exp.Expr], Callable[[Compiler, exp.Expr], Sql]] = {
    exp.Column: Compiler._column, exp.Literal: Compiler._literal, exp.Not: Compiler._not,
    exp.Neg: Compiler._negative, exp.Paren: Compiler._paren, exp.Is: Compiler._is,
    exp.In: Compiler._in, exp.Between: Compiler._between, exp.Like: Compiler._like,
    exp.ILike: Compiler._like, exp.Coalesce: Compiler._coalesce,
    exp.Boolean: Compiler._boolean_literal, exp.Null: Compiler._null,
}  # fmt: skip

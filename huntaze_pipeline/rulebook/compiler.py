"""The allow-list of the condition language, its types, and the SQL that it becomes.

The SQL is written anew from the nodes that are known; nothing of the author's text is copied.
A node, function or field that is not listed is a fault. Calls of functions are read in `calls`.
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from difflib import get_close_matches

from sqlglot import exp

from huntaze_pipeline.rulebook import calls
from huntaze_pipeline.rulebook.behaviour import Feature
from huntaze_pipeline.rulebook.fields import COUNTED, OPEN, SCOPES, Declared, Type, nearest
from huntaze_pipeline.rulebook.language import (
    BEHAVIOURS,
    FUNCTIONS,
    MIDNIGHT,
    PLACE,
    SPECIAL,
    Fault,
    finite,
    quote,
)
from huntaze_pipeline.store.people import PLATFORMS

Sql = tuple[str, Type]
_COMPARE = {
    exp.EQ: "=", exp.NEQ: "<>", exp.GT: ">", exp.GTE: ">=", exp.LT: "<", exp.LTE: "<=",
}  # fmt: skip
_ARITHMETIC = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*"}
_JSON = "json_extract_string("
ROWS = ("event", "fan")
"""Scopes whose values can be worked out before anything is asked."""
_KEY = re.compile(r"^[\w-]{1,64}$")
_CASTS = {Type.NUMBER: "DOUBLE", Type.BOOL: "BOOLEAN", Type.TIME: "TIMESTAMPTZ", Type.DATE: "DATE"}


def dig(scope: str, below: str, *keys: str) -> str:
    """Return the SQL that takes a value out of a scope's JSON field."""
    path = "$" + "".join(f'."{key}"' for key in keys)
    return f'{_JSON}{scope}."{below}", {quote(path)})'


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
        text: str = "",
        declared: Declared | None = None,
    ) -> None:
        self.scopes = scopes
        self.as_of = as_of
        self.segment = segment or _in_list
        self.text = text
        self.declared = declared
        self.faults: list[Fault] = []
        self.features: list[Feature] = []
        self.reads: set[str] = set()
        """Every field that the SQL names, as `fan.name`; features are not among them."""
        self.taken: dict[str, None] = {}
        """The parts of the SQL, in order, that cost more than the rest and that many conditions
        share: what is taken out of a row's JSON, and how long ago a time of it was."""

    def boolean(self, node: exp.Expr) -> Sql:
        """Compile a node that must be true or false."""
        return self.expect(self.visit(node), Type.BOOL, node)

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
        if kind is exp.Column:
            return self._column(node)
        handler = _HANDLERS.get(kind)
        if handler is not None:
            return handler(self, node)
        if kind is exp.Anonymous:
            return calls.call(self, node)
        functions = ", ".join(sorted({*FUNCTIONS, *SPECIAL, *BEHAVIOURS}))
        return self.fault(
            f"{_excerpt(node)} is not part of the condition language: fields, operators, values "
            f"and the functions {functions}",
            node,
        )

    def fault(
        self, what: str, node: exp.Expr | None = None, needle: str = "", kind: Type = Type.NULL
    ) -> Sql:
        """Note a fault of a node, or of a word in it; the SQL that is returned is never run."""
        starts = [n.meta["start"] for n in node.walk() if "start" in n.meta] if node else []
        needle = needle or (_word(node) if node else "")
        nth = self.text.count(needle, 0, min(starts)) if needle and starts else 0
        path = next((n.meta[PLACE] for n in _upwards(node) if PLACE in n.meta), ())
        self.faults.append(Fault(what, needle, nth, path))
        return "NULL", kind

    @staticmethod
    def of_row(node: exp.Expr) -> bool:
        """Say whether a node is a field of a row, and not below its JSON."""
        parts = node.parts if isinstance(node, exp.Column) else []
        return len(parts) == 2 and parts[0].name.lower() in ROWS

    def _column(self, node: exp.Expr) -> Sql:
        parts = [part.name for part in node.parts]  # pyright: ignore[reportAttributeAccessIssue]
        scope = parts[0].lower()
        text = ".".join(parts)
        if scope not in SCOPES or len(parts) == 1:
            if len(parts) == 1 and node.this.args.get("quoted"):
                told = f'"{text}" is no field; a text stands in single quotes'
                return self.fault(told, node, text)
            near = [f"{s}.{f}" for s in self.scopes for f in SCOPES[s]]
            return self.fault(f"unknown field {text!r}{_near_field(text, near)}", node, text)
        if scope not in self.scopes:
            only = ", ".join(self.scopes)
            return self.fault(f"{text} cannot be asked here: only {only}", node, text)
        if parts[1].lower() == OPEN.get(scope):
            return self.open(scope, parts[2:], node)
        name = parts[1].lower()
        if name not in SCOPES[scope] or len(parts) > 2:
            below = [OPEN[scope]] if scope in OPEN else []
            known = [f"{scope}.{f}" for f in (*SCOPES[scope], *below)]
            return self.fault(f"unknown field {text!r}{_near(name, known)}", node, text)
        self.reads.add(f"{scope}.{name}")
        return f'{scope}."{name}"', SCOPES[scope][name]

    def open(self, scope: str, keys: list[str], node: exp.Expr) -> Sql:
        """Compile a value of the scope's JSON field."""
        below = OPEN["event" if scope == "counted" else scope]
        if not keys or not all(_KEY.fullmatch(key) for key in keys):
            return self.fault(f"name what you ask for below {below}: {below}.word", node)
        self.reads.add(f"{scope}.{below}")
        sql = dig(scope, below, *keys)
        if scope in ROWS:
            self.taken[sql] = None
        known = self.declared.below(scope) if self.declared else None
        if known is None or (keys[0] in known and len(keys) > 1):
            return sql, Type.ANY
        if keys[0] not in known:
            what = f"{below}.{keys[0]} is not declared in fields.yaml{nearest(keys[0], known)}"
            return self.fault(what, node, keys[0])
        return sql, known[keys[0]]

    def _literal(self, node: exp.Expr) -> Sql:
        if node.args.get("is_string"):
            return quote(node.name), Type.TEXT
        number = finite(node.name)
        if number is None:
            most = "a number has at most 308 digits before the point"
            return self.fault(f"{node.name!r} is no number here; {most}", node)
        return f"CAST({number!r} AS DOUBLE)", Type.NUMBER

    def _comparison(self, node: exp.Expr, operator: str) -> Sql:
        left, right = self._pair(node.this, node.args["expression"], node)
        if operator not in ("=", "<>") and left.startswith(_JSON) and right.startswith(_JSON):
            what = f"{_excerpt(node)} would compare texts; write number(…) on both sides"
            self.fault(what, node)
        return f"({left} {operator} {right})", Type.BOOL

    def _pair(self, a: exp.Expr, b: exp.Expr, node: exp.Expr) -> tuple[str, str]:
        left, right = self.visit(a), self.visit(b)
        return self._alike(left, b, right, a, node)

    def _alike(
        self, left: Sql, b: exp.Expr, right: Sql, a: exp.Expr, node: exp.Expr
    ) -> tuple[str, str]:
        """Bring two values to one type, or say that they cannot be compared."""
        self._named_platform(left, b)
        self._named_platform(right, a)
        if Type.NULL in (left[1], right[1]):
            if isinstance(a, exp.Null) or isinstance(b, exp.Null):
                self.fault("nothing equals null; write `is null` or `is not null`", node, "null")
            return left[0], right[0]
        if left[1] is Type.ANY or right[1] is Type.ANY:
            return self._cast(left, right[1]), self._cast(right, left[1])
        left, right = self.instant(left, a, right), self.instant(right, b, left)
        if left[1] is not right[1] and Type.NULL not in (left[1], right[1]):
            self.fault(f"{_excerpt(node)} compares {_named(left[1])} with {_named(right[1])}", a)
        return left[0], right[0]

    def _named_platform(self, value: Sql, other: exp.Expr) -> None:
        """Where files are checked, tell of a platform that there is not."""
        asked = value[0] in ('event."platform"', 'counted."platform"')
        if not asked or self.declared is None or not calls.is_text(other):
            return
        if other.name not in PLATFORMS:
            self.fault(f"unknown platform {other.name!r}{nearest(other.name, PLATFORMS)}", other)

    def instant(self, value: Sql, node: exp.Expr, other: Sql) -> Sql:
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
            return self.fault(f"{node.name!r} is no time; write 2026-03-01T09:00:00Z", node)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        kind = other[1]
        text = at.date().isoformat() if kind is Type.DATE else at.astimezone(UTC).isoformat()
        return f"CAST({quote(text)} AS {_CASTS[kind]})", kind

    def _cast(self, value: Sql, to: Type) -> str:
        if value[1] is not Type.ANY or to not in _CASTS:
            return value[0]
        return f"TRY_CAST({value[0]} AS {_CASTS[to]})"

    def expect(self, value: Sql, kind: Type, node: exp.Expr) -> Sql:
        """Make sure that a value has a type, or note that it has not."""
        if value[1] is kind or value[1] is Type.NULL:
            return value
        if value[1] is Type.ANY:
            return self._cast(value, kind), kind
        if kind is Type.TIME and value[1] is Type.DATE:
            return MIDNIGHT.format(value[0]), kind
        what = f"{_excerpt(node)} is {_named(value[1])}; here it must be {_named(kind)}"
        return self.fault(what, node, kind=kind)

    def _arithmetic(self, node: exp.Expr) -> Sql:
        left = self.expect(self.visit(node.this), Type.NUMBER, node.this)[0]
        right = self.expect(
            self.visit(node.args["expression"]), Type.NUMBER, node.args["expression"]
        )[0]
        if isinstance(node, exp.Div | exp.Mod):
            sign = "/" if isinstance(node, exp.Div) else "%"
            return f"({left} {sign} nullif({right}, 0.0))", Type.NUMBER
        return f"({left} {_ARITHMETIC[type(node)]} {right})", Type.NUMBER

    def _negative(self, node: exp.Expr) -> Sql:
        return f"(-{self.expect(self.visit(node.this), Type.NUMBER, node.this)[0]})", Type.NUMBER

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
        return self.fault("after `is` write null, not null, true or false", node, "is")

    def _in(self, node: exp.Expr) -> Sql:
        if not node.expressions or node.args.get("query") or node.args.get("unnest"):
            return self.fault("after `in` write a list of values: ('a', 'b')", node, "in")
        value = self.visit(node.this)
        parts = []
        for item in node.expressions:
            left, right = self._alike(value, item, self.visit(item), node.this, node)
            parts.append(f"({left} = {right})")
        return "(" + " OR ".join(parts) + ")", Type.BOOL

    def _between(self, node: exp.Expr) -> Sql:
        if node.args.get("symmetric") is not None:
            return self.fault("write `between low and high`, without symmetric", node, "symmetric")
        low = self._pair(node.this, node.args["low"], node)
        high = self._pair(node.this, node.args["high"], node)
        return f"({low[0]} >= {low[1]} AND {high[0]} <= {high[1]})", Type.BOOL

    def _like(self, node: exp.Expr) -> Sql:
        left = self.expect(self.visit(node.this), Type.TEXT, node.this)[0]
        right = self.expect(
            self.visit(node.args["expression"]), Type.TEXT, node.args["expression"]
        )[0]
        return f"({left} {'ILIKE' if isinstance(node, exp.ILike) else 'LIKE'} {right})", Type.BOOL

    def _boolean_literal(self, node: exp.Expr) -> Sql:
        return ("TRUE" if node.this else "FALSE"), Type.BOOL

    def _null(self, _: exp.Expr) -> Sql:
        return "NULL", Type.NULL


def _upwards(node: exp.Expr | None) -> Iterator[exp.Expr]:
    while node is not None:
        yield node
        node = node.parent


def _excerpt(node: exp.Expr) -> str:
    try:
        text = node.sql(dialect="duckdb").replace('"', "")
    except (ValueError, RecursionError):
        text = type(node).__name__
    return repr(text if len(text) <= 60 else text[:57] + "…")


def _word(node: exp.Expr) -> str:
    """Return a word of the author's text by which a node is found again."""
    if isinstance(node, exp.Column):
        return ".".join(p.name for p in node.parts)
    return node.name or next((_word(child) for child in node.iter_expressions()), "")


def _named(kind: Type) -> str:
    return kind.value if kind is Type.BOOL else f"a {kind.value}"


def _near_field(text: str, known: list[str]) -> str:
    """Find the field even when its scope was left out."""
    by_name = {name.split(".", 1)[1]: name for name in reversed(known)}
    return nearest(by_name.get(text.lower(), text), known)


def _near(name: str, known: list[str]) -> str:
    """Find the field by its own name: the scope before it is alike in all of them."""
    by_name = {field.split(".", 1)[1]: field for field in known}
    close = get_close_matches(name, by_name, n=1, cutoff=0.6)
    listed = "; known: " + ", ".join(sorted(known)[:20])
    return f"; did you mean {by_name[close[0]]!r}?" if close else listed


class Counted(Compiler):
    """Walks the `where` of a behaviour: its fields are the counted event's own, without a scope."""

    def __init__(self, text: str, declared: Declared | None = None) -> None:
        super().__init__(("counted",), text=text, declared=declared)

    def _column(self, node: exp.Expr) -> Sql:
        parts = [part.name for part in node.parts]  # pyright: ignore[reportAttributeAccessIssue]
        name, text = parts[0].lower(), ".".join(parts)
        if name == OPEN["event"]:
            return self.open("counted", parts[1:], node)
        if len(parts) == 1 and name in COUNTED:
            return f'counted."{"value" if name == "amount" else name}"', COUNTED[name]
        hint = nearest(parts[-1] if name in SCOPES else text, [*COUNTED, f"{OPEN['event']}.word"])
        return self.fault(f"{text!r} is no field of the counted event{hint}", node, text)


_HANDLERS: dict[type[exp.Expr], Callable[[Compiler, exp.Expr], Sql]] = {
    exp.Literal: Compiler._literal, exp.Not: Compiler._not,
    exp.Neg: Compiler._negative, exp.Paren: Compiler._paren, exp.Is: Compiler._is,
    exp.In: Compiler._in, exp.Between: Compiler._between, exp.Like: Compiler._like,
    exp.ILike: Compiler._like,
    exp.Boolean: Compiler._boolean_literal, exp.Null: Compiler._null,
}  # fmt: skip

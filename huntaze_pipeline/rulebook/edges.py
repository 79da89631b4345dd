"""When a condition can change although nothing happens: instants at which time alone moves it.

`days_since(x) <= 7` changes once, seven days after x. Every comparison with time in it gives such
an edge; what cannot be foreseen is asked at every refresh. Too early an edge costs a question, too
late a one would be a wrong answer, so everything here errs on the early side.

Belongs here: reading edges out of a condition. What is made of them is `audience.timing`'s.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlglot import exp

from huntaze_pipeline.rulebook.behaviour import Feature
from huntaze_pipeline.rulebook.compiler import Compiler
from huntaze_pipeline.rulebook.language import BEHAVIOURS, FUNCTIONS, SPECIAL

_RATES = {"days_since": 1 / 86_400, "hours_since": 1 / 3_600}
"""Functions that grow evenly: by how much a second."""
_DAILY = "days_until_anniversary"
_COMPARE = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)


@dataclass(frozen=True)
class Edge:
    """One way in which time alone moves a condition.

    `span`: `value` grows by `rate` a second, and something happens when it passes `limit`.
    `day`: `value` counts days down to 0, from midnight to midnight (UTC), and begins anew.
    `always`: it may change at any time.
    """

    kind: Literal["span", "day", "always"]
    value: str = ""
    limit: float = 0.0
    rate: float = 0.0


Of = Callable[[str], Sequence[Edge]]
"""Gives the edges of another segment."""


def edges(node: exp.Expr | None, compile_: Callable[[], Compiler], of: Of) -> tuple[Edge, ...]:
    """Return the edges of a condition, each once.

    Args:
        node: the condition; None is always true.
        compile_: gives a compiler for the condition's scopes.
        of: gives the edges of the segments that it names.
    """
    reader = _Reader(compile_, of)
    if node is not None:
        reader.read(node)
    return tuple(dict.fromkeys(reader.found))


def windows(
    features: Iterable[Feature], as_of: str
) -> tuple[tuple[Feature, ...], tuple[Edge, ...]]:
    """Return when events fall out of the windows of features: an edge each, and what it reads.

    A window loses its oldest event first, so the time of that one is asked for as a feature more.
    """
    oldest = {
        f: Feature(f.event, "first", None, f.where, f.within) for f in features if f.within
    }  # fmt: skip
    found = [
        Edge("span", f'(epoch({as_of}) - epoch(fan."{o.key}"))', f.within.total_seconds(), 1.0)
        for f, o in oldest.items()
        if f.within
    ]
    return tuple(oldest.values()), tuple(dict.fromkeys(found))


class _Reader:
    def __init__(self, compile_: Callable[[], Compiler], of: Of) -> None:
        self.compile, self.of = compile_, of
        self.found: list[Edge] = []

    def read(self, node: exp.Expr) -> None:
        """Note the edges of a boolean."""
        if not _moving(node):
            return
        if isinstance(node, exp.And | exp.Or | exp.Not | exp.Paren) or _called(node) == "coalesce":
            for part in _parts(node):
                self.read(part)
        elif isinstance(node, exp.Is):
            self._is(node)
        elif isinstance(node, (*_COMPARE, exp.Between, exp.In)):
            for other in _others(node):
                self.pair(node.this, other)
        elif _called(node) == "in_segment":
            self.found += self.of(node.expressions[0].name)
        else:
            self.found.append(Edge("always"))

    def _is(self, node: exp.Is) -> None:
        """Whether something is null does not change by time: a time since null is null for ever."""
        if isinstance(node.expression, exp.Boolean):
            self.read(node.this)
        elif not _foreseen(node.this):
            self.found.append(Edge("always"))

    def pair(self, left: exp.Expr, right: exp.Expr) -> None:
        """Note when the order of two values can change."""
        left, right = _bare(left), _bare(right)
        for a, b in ((left, right), (right, left)):
            if _called(a) == "coalesce" and _moving(a):
                for part in a.expressions:
                    self.pair(part, b)
                return
        if not _moving(left) and not _moving(right):
            return
        if not _moving(left):
            left, right = right, left
        if _called(left) == _DAILY and not _moving(right) and not _moving_inside(left):
            self.found.append(self._day(left, right))
        else:
            self.found += self._span(left, right)

    def _day(self, left: exp.Expr, right: exp.Expr) -> Edge:
        limit = _constant(right)
        # Against something that is not known here, every midnight may be the one.
        return Edge("day", self._sql(left), limit if limit is not None else float("inf"))

    def _span(self, left: exp.Expr, right: exp.Expr) -> list[Edge]:
        rates = _rate(left), _rate(right)
        if rates[0] is None or rates[1] is None:
            return [Edge("always")]
        rate, limit = rates[0] - rates[1], _constant(right)
        if rate == 0:
            return []
        if limit is not None:
            return [Edge("span", self._sql(left), limit, rate)]
        other = f"TRY_CAST({self._sql(right)} AS DOUBLE)"
        return [Edge("span", f"({self._sql(left)} - {other})", 0.0, rate)]

    def _sql(self, node: exp.Expr) -> str:
        return self.compile().visit(node)[0]


def _parts(node: exp.Expr) -> list[exp.Expr]:
    """Return the booleans that a boolean is made of."""
    if isinstance(node, exp.Anonymous):
        return node.expressions
    return [node.this, node.expression] if isinstance(node, exp.And | exp.Or) else [node.this]


def _others(node: exp.Expr) -> list[exp.Expr]:
    """Return what the left side of a comparison is compared with."""
    if isinstance(node, exp.Between):
        return [node.args["low"], node.args["high"]]
    return node.expressions if isinstance(node, exp.In) else [node.expression]


def _bare(node: exp.Expr) -> exp.Expr:
    return _bare(node.this) if isinstance(node, exp.Paren) else node


def _called(node: exp.Expr) -> str:
    return str(node.this).lower() if isinstance(node, exp.Anonymous) else ""


def _moving(node: exp.Expr) -> bool:
    """Say whether time alone may change a value; what is not known may."""
    return any(_moves(part) for part in node.walk())


def _moves(node: exp.Expr) -> bool:
    """Say it of a call; what a fan did moves by its own edges, see `windows`."""
    if isinstance(node, exp.Anonymous):
        name = _called(node)
        function = FUNCTIONS.get(name)
        if function is None:
            return name == "in_segment" or name not in (*SPECIAL, *BEHAVIOURS)
        return "{as_of}" in function.sql
    return isinstance(node, exp.Func) and not isinstance(node, exp.And | exp.Or)


def _moving_inside(node: exp.Expr) -> bool:
    return any(_moving(part) for part in node.expressions)


def _foreseen(node: exp.Expr) -> bool:
    """Say whether every moving part of a value is a plain time function of something steady."""
    return all(
        _called(part) in (*_RATES, _DAILY) and not _moving_inside(part)
        for part in node.walk()
        if _moves(part)
    )


def _constant(node: exp.Expr) -> float | None:
    if isinstance(node, exp.Paren):
        return _constant(node.this)
    if isinstance(node, exp.Neg):
        inner = _constant(node.this)
        return None if inner is None else -inner
    if isinstance(node, exp.Literal) and not node.args.get("is_string"):
        return float(node.name)
    return None


def _rate(node: exp.Expr) -> float | None:
    """Return by how much a value grows a second; None when it does not grow evenly."""
    if not _moving(node):
        return 0.0
    if isinstance(node, exp.Paren):
        return _rate(node.this)
    if isinstance(node, exp.Neg):
        inner = _rate(node.this)
        return None if inner is None else -inner
    if isinstance(node, exp.Add | exp.Sub):
        parts = _rate(node.this), _rate(node.expression)
        if parts[0] is None or parts[1] is None:
            return None
        return parts[0] + (parts[1] if isinstance(node, exp.Add) else -parts[1])
    if isinstance(node, exp.Mul | exp.Div):
        return _scaled(node)
    return None if _moving_inside(node) else _RATES.get(_called(node))


def _scaled(node: exp.Mul | exp.Div) -> float | None:
    rate, factor = _rate(node.this), _constant(node.expression)
    if isinstance(node, exp.Mul) and factor is None:
        rate, factor = _rate(node.expression), _constant(node.this)
    if rate is None or not factor:
        return None
    found = rate * factor if isinstance(node, exp.Mul) else rate / factor
    return found if math.isfinite(found) else None

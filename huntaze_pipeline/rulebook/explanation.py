"""A condition taken apart: every part with its own answer, every field with its value.

The parts are asked by the compiler that asks the whole, over the same relations; nothing is
evaluated a second way.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import duckdb
from sqlglot import exp

from huntaze_pipeline.rulebook import relations
from huntaze_pipeline.rulebook.compiler import Compiler
from huntaze_pipeline.rulebook.conditions import Condition

_MOMENT = 'event."moment"'
_AGES = {"days_since": timedelta(days=1), "hours_since": timedelta(hours=1)}
_FLIP = {exp.GT: exp.LT, exp.GTE: exp.LTE, exp.LT: exp.GT, exp.LTE: exp.GTE}


@dataclass(frozen=True)
class Part:
    """One part of a condition, as asked of one fan and event."""

    text: str
    holds: bool | None
    """None: unknown, because something it asks for has no value; counts as no."""
    values: dict[str, Any] = field(default_factory=dict)
    """Of a part that is not made of others: its fields and functions."""
    parts: tuple["Part", ...] = ()
    joined: str = ""
    """and | or | not: how the parts make the whole."""
    yes_at: datetime | None = None
    """For a no that time alone turns into a yes: when, if nothing else happens."""

    def lines(self, depth: int = 0) -> Iterator[str]:
        """Yield it as indented text."""
        mark = {True: "✓", False: "✗", None: "?"}[self.holds]
        values = ", ".join(f"{name} = {written(value)}" for name, value in self.values.items())
        later = f"  (yes from {self.yes_at:%Y-%m-%d %H:%M} UTC on)" if self.yes_at else ""
        what = f"{self.joined} of" if self.joined else self.text
        yield f"{'  ' * depth}{mark} {what}{f'   [{values}]' if values else ''}{later}"
        for part in self.parts:
            yield from part.lines(depth + 1)

    def first_no(self) -> "Part | None":
        """Return the first part that has to change for the whole to hold; None when it holds."""
        if self.holds:
            return None
        inner = [part.first_no() for part in self.parts] if self.joined == "and" else []
        return next((part for part in inner if part is not None), self)


def written(value: Any) -> str:
    """Write a value: instants without their zone (all are UTC), numbers without noise."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, float):
        return f"{value:,.10g}"
    return "none" if value is None else str(value)


def explain(con: duckdb.DuckDBPyConnection, condition: Condition, position: int = 0) -> Part | None:
    """Ask every part of a condition of one row of the relations `event` and `fan`.

    Returns:
        None for a condition that is always true.
    """
    if condition.node is None:
        return None
    asked: list[exp.Expr] = []
    shape = _shape(condition.node, asked)
    compiler = Compiler(condition.scopes, as_of=_MOMENT)
    columns = ", ".join(f"{compiler.visit(node)[0]} AS c{i}" for i, node in enumerate(asked))
    row = con.execute(
        f"SELECT {_MOMENT}, {columns} FROM event JOIN fan ON fan.position = event.position"
        f"{relations.joins(columns)} WHERE event.position = ?",
        [position],
    ).fetchone()
    if row is None:
        return None
    return _filled(shape, row[1:], row[0])


@dataclass(frozen=True)
class _Shape:
    node: exp.Expr
    answer: int
    values: tuple[tuple[str, int], ...] = ()
    parts: tuple["_Shape", ...] = ()
    joined: str = ""


def _shape(node: exp.Expr, asked: list[exp.Expr]) -> _Shape:
    """Lay out a condition; what has to be asked is added to `asked`."""
    while isinstance(node, exp.Paren):
        node = node.this
    place = len(asked)
    asked.append(node)
    for kind, word in ((exp.And, "and"), (exp.Or, "or")):
        if isinstance(node, kind):
            parts = tuple(_shape(part, asked) for part in _flat(node, kind))
            return _Shape(node, place, parts=parts, joined=word)
    if isinstance(node, exp.Not):
        return _Shape(node, place, parts=(_shape(node.this, asked),), joined="not")
    values = []
    for leaf in _leaves(node):
        values.append((_words(leaf), len(asked)))
        asked.append(leaf)
    return _Shape(node, place, tuple(dict(values).items()))


def _flat(node: exp.Expr, kind: type[exp.Connector]) -> Iterator[exp.Expr]:
    while isinstance(node, exp.Paren):
        node = node.this
    if isinstance(node, kind):
        yield from _flat(node.this, kind)
        yield from _flat(node.expression, kind)
    else:
        yield node


def _leaves(node: exp.Expr) -> Sequence[exp.Expr]:
    """The fields and calls that a part depends on, each once; calls before their fields."""
    inside = [n for n in node.walk() if n is not node or isinstance(n, exp.Column)]
    calls = [n for n in inside if isinstance(n, exp.Anonymous)]
    columns = [
        n for n in inside
        if isinstance(n, exp.Column) and n.table and not n.find_ancestor(exp.Kwarg, exp.PropertyEQ)
    ]  # fmt: skip
    found = {_words(n): n for n in (*calls, *columns)}
    return list(found.values())


def _filled(shape: _Shape, row: Sequence[Any], moment: datetime) -> Part:
    part = Part(
        _words(shape.node), row[shape.answer],
        {text: row[place] for text, place in shape.values},
        tuple(_filled(inner, row, moment) for inner in shape.parts), shape.joined,
    )  # fmt: skip
    return part if part.holds else replace(part, yes_at=_when(shape.node, part, moment))


def _when(node: exp.Expr, part: Part, moment: datetime) -> datetime | None:
    """Say when time alone makes a part hold."""
    if part.joined:
        times = [p.yes_at for p in part.parts if not p.holds]
        known = [at for at in times if at is not None]
        if part.joined == "and" and times and len(known) == len(times):
            return max(known)
        return min(known) if part.joined == "or" and known else None
    age, limit, kind = node.this, node.args.get("expression"), type(node)
    if isinstance(limit, exp.Anonymous) and kind in _FLIP:
        age, limit, kind = limit, age, _FLIP[kind]
    unit = _AGES.get(str(age.this).lower()) if isinstance(age, exp.Anonymous) else None
    if unit is None or kind not in (exp.GT, exp.GTE) or not isinstance(limit, exp.Literal):
        return None
    now = part.values.get(_words(age))
    return None if now is None else moment + (float(limit.name) - now) * unit


def _words(node: exp.Expr) -> str:
    """Write a part as its author did."""
    return node.sql(dialect="duckdb", normalize_functions=False)

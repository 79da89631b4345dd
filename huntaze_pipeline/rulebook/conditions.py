"""Conditions: what a rule may ask about a fan and an event, read from text or from the JSON form.

Belongs here: parsing, and the public `Condition`. The allow-list, the types and the generated SQL
are in `compiler`; a condition that parses can be compiled.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from huntaze_pipeline.rulebook.behaviour import Feature, union
from huntaze_pipeline.rulebook.compiler import Compiler
from huntaze_pipeline.rulebook.fields import EVERYWHERE, Declared
from huntaze_pipeline.rulebook.language import Dialect, Fault
from huntaze_pipeline.rulebook.tree import from_tree

_MAX_TEXT = 4_000
_MAX_NODES = 2_000


class ConditionFaults(ValueError):
    """A condition that cannot be used, with everything that is wrong with it."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults
        super().__init__("; ".join(fault.what for fault in faults))


class Written(NamedTuple):
    """A condition as SQL; where something cannot be known it may be null."""

    sql: str
    taken: tuple[str, ...] = ()
    """The parts of it that are worth being worked out once for many conditions."""


@dataclass(frozen=True)
class Condition:
    """A checked condition. Compiled SQL is one boolean that is never null."""

    node: exp.Expr | None
    """None: always true."""
    scopes: tuple[str, ...]
    text: str = ""
    """As it was written; empty for the JSON form."""

    def against(self, declared: Declared) -> list[Fault]:
        """Return what is wrong with it in the light of what events and fans are said to carry."""
        if self.node is None:
            return []
        compiler = Compiler(self.scopes, text=self.text, declared=declared)
        compiler.boolean(self.node)
        return compiler.faults

    def sql(self, as_of: str, *, segment: Callable[[str], str] | None = None) -> str:
        """Return one DuckDB boolean over the aliases of its scopes (`fan`, `event`, …).

        The alias `fan` must have a column for each of `features`, by its key.

        Args:
            as_of: the SQL expression (TIMESTAMPTZ) that stands for the moment of the question.
            segment: gives the SQL boolean "the fan is in this segment"; default: the list column
                `fan.segments`.
        """
        if self.node is None:
            return "true"
        if segment is None:
            return f"coalesce({self.written(as_of).sql}, false)"
        sql, _ = Compiler(self.scopes, as_of=as_of, segment=segment).boolean(self.node)
        return f"coalesce({sql}, false)"

    def written(self, as_of: str) -> Written:
        """Return the same for places where what cannot be known is a no by itself."""
        if self.node is None:
            return Written("true")
        known = self._written.get(as_of)
        if known is None:
            compiler = Compiler(self.scopes, as_of=as_of)
            sql, _ = compiler.boolean(self.node)
            self._written.clear()
            self._written[as_of] = known = Written(sql, tuple(compiler.taken))
        return known

    @cached_property
    def _written(self) -> dict[str, Written]:
        """What was compiled last, by the moment's expression."""
        return {}

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """What the condition asks of the fan's own events, as columns of `fan`."""
        return union(self._walked.features)

    @cached_property
    def reads(self) -> frozenset[str]:
        """Every field that the SQL names, those that functions ask for included."""
        return frozenset(self._walked.reads)

    @cached_property
    def _walked(self) -> Compiler:
        """A compiler that has come by everything the condition names."""
        compiler = Compiler(self.scopes)
        if self.node is not None:
            compiler.boolean(self.node)
        return compiler

    @cached_property
    def templates(self) -> frozenset[str]:
        """The templates that the condition names."""
        return frozenset(self._literals("received"))

    @cached_property
    def segments(self) -> frozenset[str]:
        """The segments that the condition names."""
        return frozenset(self._literals("in_segment"))

    @cached_property
    def tags(self) -> frozenset[str]:
        """The tags that the condition asks for by has_tag or contains(fan.tags, …)."""
        named = self._literals("has_tag")
        if "fan.tags" in self.fields:
            named += self._literals("contains", 1)
        return frozenset(named)

    @cached_property
    def open_fields(self) -> frozenset[str]:
        """What it reads below fan.attributes and event.properties, as `fan.attributes.word`."""
        columns = self.node.find_all(exp.Column) if self.node is not None else []
        return frozenset(".".join(p.name for p in c.parts[:3]) for c in columns if c.args.get("db"))

    @cached_property
    def fields(self) -> frozenset[str]:
        """The fields that the condition reads, as `fan.name`."""
        columns = self.node.find_all(exp.Column) if self.node is not None else []
        named = (c for c in columns if c.parts[0].name.lower() in self.scopes)
        return frozenset(".".join(part.name.lower() for part in c.parts[:2]) for c in named)

    def _literals(self, function: str, place: int = 0) -> list[str]:
        calls = self.node.find_all(exp.Anonymous) if self.node is not None else []
        return [
            call.expressions[place].name
            for call in calls
            if call.name.lower() == function and len(call.expressions) > place
        ]


def parse(where: Any, scopes: tuple[str, ...] = EVERYWHERE) -> Condition:
    """Read a condition: an SQL expression, or `all` / `any` / `not` with field, op and value.

    Raises:
        ConditionFaults: it cannot be used; every fault is listed.
    """
    if where is None or where == {} or where == []:
        return Condition(None, scopes)
    if isinstance(where, str):
        return _parsed(where, scopes)
    try:
        return _grown(json.dumps(where), scopes)
    except (TypeError, ValueError) as error:  # a date of YAML is no JSON
        if isinstance(error, ConditionFaults):
            raise
        return _read(where, scopes)


@lru_cache(maxsize=8192)
def _parsed(where: str, scopes: tuple[str, ...]) -> Condition:
    """Read each text once in a process: a tick asks the same rules again and again."""
    return _read(where, scopes)


@lru_cache(maxsize=8192)
def _grown(where: str, scopes: tuple[str, ...]) -> Condition:
    """Read each tree once in a process, by its text."""
    return _read(json.loads(where), scopes)


def _read(where: Any, scopes: tuple[str, ...]) -> Condition:
    faults: list[Fault] = []
    node = _text(where, faults) if isinstance(where, str) else from_tree(where, (), faults)
    if node is not None:  # what is left of a tree with faults is checked too
        compiler = Compiler(scopes, text=where if isinstance(where, str) else "")
        _checked(compiler, node)
        faults += compiler.faults
    if faults or node is None:
        raise ConditionFaults(faults or [Fault("the condition is empty")])
    return Condition(node, scopes, where if isinstance(where, str) else "")


def _checked(compiler: Compiler, node: exp.Expr) -> None:
    try:
        compiler.boolean(node)
    except RecursionError:
        compiler.faults.append(Fault("the condition is nested too deeply"))


def _text(text: str, faults: list[Fault]) -> exp.Expr | None:
    if len(text) > _MAX_TEXT:
        faults.append(Fault(f"the condition has {len(text)} characters; at most {_MAX_TEXT}"))
        return None
    try:
        nodes = [n for n in sqlglot.parse(text, read=Dialect) if n is not None]
    except SqlglotError as error:
        faults.append(_syntax(error))
        return None
    except RecursionError:
        faults.append(Fault("the condition is nested too deeply"))
        return None
    if len(nodes) != 1 or sum(1 for _ in nodes[0].walk()) > _MAX_NODES:
        faults.append(Fault("write one condition, without `;`"))
        return None
    return nodes[0]


_PLAIN = {
    "Required keyword": "a value is missing",
    "Invalid expression": "this is not understood",
    "Expecting )": "a `)` is missing",
    "Error tokenizing": "a quote is not closed",
}
"""sqlglot's words, which speak of its own parts, in plain ones."""


def _syntax(error: SqlglotError) -> Fault:
    details = getattr(error, "errors", None) or [{}]
    near = details[0].get("highlight") or ""
    told = details[0].get("description") or str(error).splitlines()[0]
    what = next((plain for start, plain in _PLAIN.items() if start in told), told)
    return Fault(f"is no condition: {what.rstrip('.')}" + (f" near {near!r}" if near else ""), near)

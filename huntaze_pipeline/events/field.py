"""One output column of an import: how it is read, checked and folded in a group.

Which columns there are is `shape`; the SQL of a single value is `projection`'s.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from huntaze_pipeline.clock import zones
from huntaze_pipeline.currency import CURRENCIES
from huntaze_pipeline.events import projection
from huntaze_pipeline.events.envelope import CUSTOM, FUTURE, LIMIT_MICROS, NAMES
from huntaze_pipeline.events.mapping import Mapping
from huntaze_pipeline.events.parts import Value
from huntaze_pipeline.events.projection import Scope
from huntaze_pipeline.sql import quoted

Kind = Literal["text", "name", "zone", "currency", "time", "instant", "date", "money", "number",
               "json"]  # fmt: skip
_FOLDS = {"money": "sum", "number": "sum"}
_TYPES = {"time": "timestamptz", "instant": "timestamptz", "date": "date", "money": "bigint",
          "number": "double"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """One output column: where it comes from and what it must be."""

    name: str
    """As the person who wrote the mapping knows it."""
    alias: str
    kind: Kind
    value: Value | dict[str, Value] | None
    required: bool = False
    signed: bool = False
    beside: "Field | None" = None
    """Required where this other one has a value."""

    def late(self, mapping: Mapping) -> bool:
        """Whether it is computed once a group."""
        return (
            bool(mapping.group_by)
            and isinstance(self.value, Value)
            and (projection.late(self.value, mapping) or _fixed(self))
        )

    def sql(self, scope: Scope) -> str:
        """Return the typed expression; NULL when the mapping leaves the field out."""
        if self.value is None:
            return f"cast(null as {_TYPES.get(self.kind, 'varchar')})"
        if isinstance(self.value, dict):
            return projection.document(scope, self.value)
        return _READERS.get(self.kind, _text)(scope, self.value)

    def folded(self) -> str:
        """Return the aggregate over the rows of a group."""
        how = self.value.fold if isinstance(self.value, Value) else None
        how = how or _FOLDS.get(self.kind, "min")
        if how == "count":
            return "count(*)"
        if how == "first":
            return f"arg_min({self.alias}, _row)"
        cast = "bigint" if self.kind == "money" else ""
        inner = f"{how}({self.alias})"
        return f"cast({inner} as {cast})" if cast and how == "sum" else inner

    def suspect(self, scope: Scope, now: datetime) -> list[str]:
        """Return cheap SQL conditions, at least one of which holds for every faulty row.

        Reasons show the raw text, and making text of every value of a good file would take longer
        than all the rest; so only suspects are looked at closely (`faults`).
        """
        if not isinstance(self.value, Value):
            return ["true"] if self.required else []
        suspicions = [condition for condition, _ in _limits(self, "''", now)]
        if self.beside:
            suspicions.append(f"{self.alias} is null and {self._wanted(scope)}")
        if self.required or self.value.sum:
            return [f"{self.alias} is null", *suspicions]
        if self.kind in _UNREADABLE:
            source = scope.expression(self.value)
            given = source.text if source.type == "VARCHAR" else source.sql
            suspicions.append(f"{self.alias} is null and {given} is not null")
        return suspicions

    def faults(self, scope: Scope, now: datetime) -> list[tuple[str, str]]:
        """Return (SQL condition, SQL reason) for everything that can be wrong with it."""
        if self.value is None:
            return [("true", quoted("is not in the mapping"))] if self.required else []
        if isinstance(self.value, dict):
            return []
        raw = "null" if self.value.sum else scope.expression(self.value).text
        shown = f"'''' || substr(coalesce({raw}, ''), 1, 80) || ''' '"
        absent = (f"{self.alias} is null and {raw} is null", quoted("is missing"))
        faults = [absent] if self.required else []
        if self.beside:
            condition = f"{absent[0]} and {self._wanted(scope)}"
            faults.append((condition, quoted("is missing; there is a value")))
        faults += _UNREADABLE.get(self.kind, _nothing)(self, raw, shown, scope)
        return faults + _limits(self, shown, now)

    def _wanted(self, scope: Scope) -> str:
        """SQL for whether the other one has a value; one that comes once a group always has."""
        there = self.beside is None or self.beside.late(scope.mapping)
        return "true" if there else f"{self.beside.alias} is not null"  # pyright: ignore[reportOptionalMemberAccess]


def _fixed(given: Field) -> bool:
    """A constant is the same for the whole group, unless it is summed up over the rows."""
    value = given.value
    return (
        isinstance(value, Value) and value.value is not None and value.fold in (None, "min", "max")
    ) and given.kind != "money"


def _text(scope: Scope, value: Value) -> str:
    return scope.expression(value).text


_READERS: dict[str, Callable[[Scope, Value], str]] = {
    "time": projection.time, "instant": projection.time, "date": projection.day,
    "money": projection.money, "number": projection.number,
}  # fmt: skip

_Faults = list[tuple[str, str]]


def _nothing(given: Field, raw: str, shown: str, scope: Scope) -> _Faults:
    return []


def _no(what: str) -> Callable[[Field, str, str, Scope], _Faults]:
    def check(given: Field, raw: str, shown: str, scope: Scope) -> _Faults:
        return [(f"{given.alias} is null and {raw} is not null", f"{shown} || {quoted(what)}")]

    return check


def _no_time(given: Field, raw: str, shown: str, scope: Scope) -> _Faults:
    reason = "is no time"
    if scope.mapping.zone is None:
        reason = "is no time with a zone, and the mapping names none (zone: Europe/Paris)"
    return _no(reason)(given, raw, shown, scope)


def _no_money(given: Field, raw: str, shown: str, scope: Scope) -> _Faults:
    if isinstance(given.value, Value) and given.value.sum:
        return [(f"{given.alias} is null", quoted("a part of the sum is no amount"))]
    return _no("is no amount of money")(given, raw, shown, scope)


_UNREADABLE: dict[str, Callable[[Field, str, str, Scope], _Faults]] = {
    "time": _no_time, "instant": _no_time, "date": _no("is no date"),
    "money": _no_money, "number": _no("is no finite number"),
}  # fmt: skip


def _limits(given: Field, shown: str, now: datetime) -> _Faults:
    alias = given.alias
    if given.kind in ("time", "instant"):
        ahead = f"{alias} > timestamptz {quoted((now + FUTURE).isoformat())}"
        old = (f"{alias} < timestamptz '1970-01-01 00:00:00+00'", f"{shown} || 'is before 1970'")
        future = (ahead, f"{shown} || 'is more than a day in the future'")
        return [old, future] if given.kind == "time" else [old]
    if given.kind == "money":
        large = (f"abs({alias}) > {LIMIT_MICROS}", f"{shown} || 'is more than any payment'")
        less = (f"{alias} < 0", f"{shown} || 'is negative'")
        return [large] if given.signed else [large, less]
    if given.kind == "name":
        known = ", ".join(quoted(n) for n in NAMES)
        bad = f"{alias} not in ({known}) and not regexp_matches({alias}, {quoted(CUSTOM.pattern)})"
        return [(bad, f"{shown} || 'is no event name'")]
    return _texts(given, shown)


def _texts(given: Field, shown: str) -> _Faults:
    alias = given.alias
    if given.kind == "currency":
        codes = ", ".join(quoted(c) for c in sorted(CURRENCIES))
        return [(f"{alias} not in ({codes})", f"{shown} || 'is no ISO 4217 currency'")]
    if given.kind == "zone":
        known = ", ".join(quoted(z) for z in sorted(zones()))
        return [(f"{alias} not in ({known})", f"{shown} || 'is no IANA zone'")]
    if given.kind == "text":
        bad = f"length({alias}) > 255 or contains({alias}, chr(0))"
        return [(bad, quoted("is longer than 255 characters or holds a NUL"))]
    return []

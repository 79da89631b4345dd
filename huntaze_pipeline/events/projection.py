"""From a mapping's values to SQL expressions over one file's columns.

Every expression is total: what cannot be read becomes NULL and is told apart from what was absent,
so that `checks` can say which. Choosing which fields exist is `shape`'s work.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

from huntaze_pipeline.events.envelope import MICROS
from huntaze_pipeline.events.mapping import Mapping
from huntaze_pipeline.events.parts import Value
from huntaze_pipeline.events.source import Table
from huntaze_pipeline.sql import identifier, quoted

_NUMBERS = ("BIGINT", "INTEGER", "SMALLINT", "TINYINT", "UBIGINT", "UINTEGER", "HUGEINT",
            "DOUBLE", "FLOAT", "DECIMAL")  # fmt: skip
_ZONED = r":\d{2}(\.\d+)?\s*([zZ]|[+-]\d{2}(:?\d{2})?)$"
_SCALE = {"s": MICROS, "ms": 1000, "us": 1}
_HOLE = re.compile(r"\{(\w+)\}")
_LOOKUPS = {
    "campaign.start_at": ("_campaign.start_at", "TIMESTAMP WITH TIME ZONE"),
    "campaign.end_at": ("_campaign.end_at", "TIMESTAMP WITH TIME ZONE"),
    "fan.zone": ("_fan.zone", "VARCHAR"),
}


@dataclass(frozen=True, slots=True)
class Expression:
    """SQL and its DuckDB type."""

    sql: str
    type: str = "VARCHAR"

    @property
    def text(self) -> str:
        """As trimmed text; empty is NULL."""
        return f"nullif(trim(cast({self.sql} as varchar)), '')"


@dataclass(slots=True)
class Scope:
    """What names mean: the file's columns, the mapping's `let`, and what was found wrong."""

    table: Table
    mapping: Mapping
    shift_days: int = 0
    grouped: bool = False
    """Group level: only the columns of `group_by` can be seen."""
    missing: dict[str, None] = field(default_factory=dict)
    """Names that lead nowhere, in order of appearance."""

    def column(self, name: str, inside: frozenset[str] = frozenset()) -> Expression:
        """Return a column or a `let` value; remember the name when there is none."""
        if name in self.mapping.let and name not in inside:
            return self.expression(self.mapping.let[name], inside | {name})
        if self.grouped:
            if name not in self.mapping.group_by:
                self.missing[f"{name} (a grouped mapping decides by its group_by columns)"] = None
            return Expression(f"_g{self.position(name)}")
        if self.table.json:
            return Expression(_path(name))
        if name not in self.table.columns:
            self.missing[name] = None
            return Expression("null")
        return Expression("_s." + identifier(name), self.table.columns[name])

    def position(self, name: str) -> int:
        """Return which of the grouping columns this is."""
        return self.mapping.group_by.index(name) if name in self.mapping.group_by else 0

    def expression(self, value: Value, inside: frozenset[str] = frozenset()) -> Expression:
        """Compile where a value comes from."""
        if value.column is not None:
            return self.column(value.column, inside)
        if value.value is not None:
            return _constant(value.value)
        if value.text is not None:
            return self._text(value.text, inside)
        if value.lookup is not None:
            return Expression(*_LOOKUPS[value.lookup])
        if value.sum is not None:
            return Expression(" + ".join(f"({money(self, v)})" for v in value.sum), "MICROS")
        share = fraction(value.seed or "", self.column(value.by or "", inside).text)
        if value.pick is not None:
            return _pick(value.pick, share)
        return _between(value, share)

    def _text(self, template: str, inside: frozenset[str]) -> Expression:
        parts = _HOLE.split(template)
        pieces = [
            self.column(part, inside).text if odd % 2 else quoted(part)
            for odd, part in enumerate(parts)
            if part or odd % 2
        ]
        return Expression(" || ".join(pieces) or "''")


def late(value: Value, mapping: Mapping, seen: frozenset[str] = frozenset()) -> bool:
    """Say whether a value can be computed once a group, from the grouping columns alone."""
    if value.pick is not None or value.between is not None:
        return True
    names: Iterable[str] = ()
    if value.column is not None and value.column in mapping.let:
        names = (value.column,)
    elif value.text is not None:
        names = [n for n in _HOLE.findall(value.text) if n in mapping.let]
    return any(late(mapping.let[n], mapping, seen | {n}) for n in names if n not in seen)


def fraction(seed: str, key: str) -> str:
    """Return SQL for `hashing.fraction(seed, key)`: the same number to the last bit."""
    digest = f"sha256({quoted(seed)} || chr(31) || {key})"
    return (
        f"(cast('0x' || substr({digest}, 1, 16) as ubigint) / cast(18446744073709551616 as double))"
    )


def time(scope: Scope, value: Value) -> str:
    """Return SQL for an instant; naive times are read in the mapping's zone, then shifted."""
    source = scope.expression(value)
    shift = f" + to_days({scope.shift_days})" if scope.shift_days else ""
    zone = quoted(scope.mapping.zone) if scope.mapping.zone else "cast(null as varchar)"
    if value.lookup is not None:
        return source.sql  # what we hold already has been shifted
    if value.epoch is not None:
        units = f"try_cast({source.text} as decimal(24,6)) * {_SCALE[value.epoch]}"
        return f"timezone('UTC', make_timestamp(try_cast({units} as bigint))){shift}"
    if source.type == "TIMESTAMP WITH TIME ZONE":
        return f"{source.sql}{shift}"
    if source.type == "DATE" or source.type.startswith("TIMESTAMP"):
        return f"timezone({zone}, cast({source.sql} as timestamp){shift})"
    if value.format is not None:
        parsed = f"try_strptime({source.text}, {quoted(value.format)})"
        return f"{parsed}{shift}" if "%z" in value.format else f"timezone({zone}, {parsed}{shift})"
    return (
        f"case when regexp_matches({source.text}, {quoted(_ZONED)})"
        f" then try_cast({source.text} as timestamptz){shift}"
        f" else timezone({zone}, try_cast({source.text} as timestamp){shift}) end"
    )


def day(scope: Scope, value: Value) -> str:
    """Return SQL for a date."""
    source = scope.expression(value)
    if value.format is not None:
        return f"cast(try_strptime({source.text}, {quoted(value.format)}) as date)"
    return f"try_cast({source.sql} as date)"


def money(scope: Scope, value: Value) -> str:
    """Return SQL for an amount in whole micro-units, exact in its decimal digits.

    Binary fractions are rounded after the multiplication: exact to the micro-unit up to a thousand
    million units. Decimals go in two parts, for a product of eighteen digits would overflow.
    """
    source = scope.expression(value)
    if source.type == "MICROS":
        return source.sql
    if source.type in ("DOUBLE", "FLOAT"):
        return f"try_cast(round(cast({source.sql} as double) * {MICROS}) as bigint)"
    text = source.sql if source.type.startswith(_NUMBERS) else source.text
    read = f"try_cast({text} as decimal(18,6))"
    whole, rest = f"cast(trunc({read}) as bigint)", f"({read} - trunc({read}))"
    return f"{whole} * {MICROS} + cast({rest} * {MICROS} as bigint)"


def number(scope: Scope, value: Value) -> str:
    """Return SQL for a finite number."""
    source = scope.expression(value)
    read = f"try_cast({source.sql} as double)"
    return f"case when isfinite({read}) then {read} end"


def document(scope: Scope, values: dict[str, Value]) -> str:
    """Return SQL for a JSON object of these values; numbers stay numbers."""
    if not values:
        return "'{}'"
    pairs = ", ".join(f"{quoted(k)}, {scope.expression(v).sql}" for k, v in values.items())
    return f"cast(json_object({pairs}) as varchar)"


def _path(name: str) -> str:
    """A key of a JSON line; `a.b` is b inside a, unless there is a key that is called a.b."""
    whole = f"json_extract_string(_s._line, {quoted('$.' + identifier(name))})"
    if "." not in name:
        return whole
    steps = ".".join(identifier(part) for part in name.split("."))
    return f"coalesce({whole}, json_extract_string(_s._line, {quoted('$.' + steps)}))"


def _constant(value: str | int | float | bool) -> Expression:
    if isinstance(value, bool):
        return Expression("true" if value else "false", "BOOLEAN")
    if isinstance(value, int):
        return Expression(str(value), "BIGINT")
    return Expression(quoted(str(value)))


def _pick(weights: dict[str, float], share: str) -> Expression:
    total = sum(weights.values())
    names = [name for name, weight in weights.items() if weight > 0]
    reached, cases = 0.0, []
    for name in names[:-1]:
        reached += weights[name] / total
        cases.append(f"when {share} < cast({reached!r} as double) then {quoted(name)}")
    if not cases:
        return Expression(quoted(names[0]))
    return Expression(f"case {' '.join(cases)} else {quoted(names[-1])} end")


def _between(value: Value, share: str) -> Expression:
    low, high = value.between or (0, 0)
    if isinstance(low, int) and isinstance(high, int):
        whole = f"cast({low} + floor({share} * {high - low + 1}) as bigint)"
        return Expression(
            f"lpad(cast({whole} as varchar), {value.width}, '0')" if value.width else whole
        )
    first, last = date.fromisoformat(str(low)), date.fromisoformat(str(high))
    span = (last - first).days + 1
    return Expression(
        f"(date {quoted(first.isoformat())} + cast(floor({share} * {span}) as integer))", "DATE"
    )

"""The expectations that a gate can compile: each one's arguments, and the SQL that finds its rows.

Names and meanings are Great Expectations' (its `expectations/core`, for pandas): a null breaks only
what forbids nulls, a NaN is a value above every other. What is not here, the library judges alone.
Reading suites is `suite`'s work, running the SQL `sieve`'s.
"""

import importlib.util
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

from huntaze_pipeline.sql import identifier, quoted

Arguments = Mapping[str, Any]
Level = Literal["nulls", "rows", "groups", "batch"]
COMMON = ("type", "severity", "meaning", "where", "mostly")
"""Keys that any expectation may have."""


@dataclass(frozen=True, slots=True)
class Word:
    """One expectation that can be compiled."""

    level: Level
    """nulls: about absence; rows: about values that are there; groups: about rows together."""
    needs: tuple[str, ...]
    takes: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    """At least one of these must be given."""
    broken: Callable[[Arguments], str] = lambda given: "false"
    """SQL that is true for a row that breaks it; never true for a null unless it is about nulls."""

    @property
    def arguments(self) -> tuple[str, ...]:
        """Everything that may be given."""
        return (*self.needs, *self.takes, *COMMON)


def literal(value: Any) -> str:
    """Return a value as an SQL literal."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, datetime):
        return f"timestamptz '{value.isoformat()}'"
    if isinstance(value, date):
        return f"date '{value.isoformat()}'"
    return quoted(str(value))


def _column(given: Arguments) -> str:
    return identifier(str(given["column"]))


def _outside(what: str, given: Arguments) -> str:
    """SQL for `what` lying outside its bounds; an absent bound binds nothing but a NaN.

    For DuckDB a NaN is above every number, for the library it is within no bounds.
    """
    low, high = given.get("min_value"), given.get("max_value")
    if high is None and isinstance(low, int | float):
        return f"(not ({what} {'>' if given.get('strict_min') else '>='} {literal(low)}) or not" + (
            f" ({what} <= 'infinity'::double))"
        )
    below, above = (">" if given.get(f"strict_{end}") else ">=" for end in ("min", "max"))
    above = above.replace(">", "<")
    conditions = [f"not ({what} {below} {literal(low)})"] if low is not None else []
    conditions += [f"not ({what} {above} {literal(high)})"] if high is not None else []
    return f"({' or '.join(conditions)})" if conditions else "false"


def _among(given: Arguments) -> str:
    """SQL for a value that is one of the set: a hash join, for a long IN list is a chain of ORs."""
    listed = ", ".join(literal(value) for value in given["value_set"])
    return f"{_column(given)} in (select unnest([{listed}]))" if listed else "false"


def _matches(given: Arguments) -> str:
    return f"regexp_matches({_column(given)}, {literal(given['regex'])})"


_BOUNDS = ("min_value", "max_value")
_STRICT = ("strict_min", "strict_max")

WORDS: Mapping[str, Word] = {
    "ExpectColumnValuesToNotBeNull": Word(
        "nulls", ("column",), broken=lambda g: f"{_column(g)} is null"
    ),
    "ExpectColumnValuesToBeNull": Word(
        "nulls", ("column",), broken=lambda g: f"{_column(g)} is not null"
    ),
    "ExpectColumnValuesToBeBetween": Word(
        "rows", ("column",), (*_BOUNDS, *_STRICT), _BOUNDS, lambda g: _outside(_column(g), g)
    ),
    "ExpectColumnValuesToBeInSet": Word(
        "rows", ("column", "value_set"),
        broken=lambda g: f"{_column(g)} is not null and not ({_among(g)})",
    ),
    "ExpectColumnValuesToNotBeInSet": Word(
        "rows", ("column", "value_set"), broken=_among
    ),
    "ExpectColumnValuesToMatchRegex": Word(
        "rows", ("column", "regex"), broken=lambda g: f"not {_matches(g)}"
    ),
    "ExpectColumnValuesToNotMatchRegex": Word(
        "rows", ("column", "regex"), broken=_matches
    ),
    "ExpectColumnValueLengthsToBeBetween": Word(
        "rows", ("column",), (*_BOUNDS, *_STRICT), _BOUNDS,
        lambda g: _outside(f"length({_column(g)})", g),
    ),
    "ExpectColumnValuesToBeUnique": Word("groups", ("column",)),
    "ExpectCompoundColumnsToBeUnique": Word("groups", ("column_list",)),
    "ExpectTableRowCountToBeBetween": Word("batch", (), _BOUNDS, _BOUNDS),
}  # fmt: skip
"""Every expectation that can hold rows back or stop a campaign."""


def columns(given: Arguments) -> tuple[str, ...]:
    """Return the columns that an expectation is about, whichever it is."""
    named = [given.get("column"), given.get("column_A"), given.get("column_B")]
    listed = given.get("column_list") or ()
    return tuple(str(name) for name in (*named, *listed) if name is not None)


@cache
def library() -> Sequence[str]:
    """Return every expectation of the installed Great Expectations, without importing it."""
    spec = importlib.util.find_spec("great_expectations")
    folder = Path(str(spec.origin)).parent if spec and spec.origin else Path()
    listing = folder / "expectations" / "core" / "__init__.py"
    return sorted(set(re.findall(r"\bExpect[A-Z]\w+", listing.read_text(encoding="utf-8"))))

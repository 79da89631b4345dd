"""The words of the condition language: its functions, the types they take, the SQL they become.

How an expression is walked and checked is `compiler`'s, how a call is read `calls`'.
"""

import math
from dataclasses import dataclass

from sqlglot.dialects import DuckDB

from huntaze_pipeline.rulebook.fields import Type
from huntaze_pipeline.sql import quoted


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a condition."""

    what: str
    needle: str = ""
    """The word that is wrong."""
    nth: int = 0
    """How often the word stands in the text before the place that is meant."""
    path: tuple[str | int, ...] = ()
    """The part of the JSON form."""


@dataclass(frozen=True)
class Function:
    """A function of the language: the types it takes, the type it gives, the SQL it becomes."""

    takes: tuple[Type, ...]
    gives: Type
    sql: str
    """`{0}`, `{1}` are the arguments, `{as_of}` is the moment of the question."""
    reads: tuple[str, ...] = ()
    """Fields that the SQL names by itself, as `fan.name`."""


PLACE = "path"
"""Where a node of the JSON form keeps the path of the leaf that it was made of."""
_SINCE = "((epoch({as_of}) - epoch({0})) / CAST('SECONDS' AS DOUBLE))"
"""With quotes in it, so that `matching` never finds it within a text: there they are doubled."""
_TODAY = "(DATE '1970-01-01' + CAST(floor(epoch({as_of}) / 86400) AS INTEGER))"
MIDNIGHT = "to_timestamp(date_diff('day', DATE '1970-01-01', {0}) * 86400.0)"
_NEXT = "({0} + to_years(CAST(year(" + _TODAY + ") - year({0}) + {1} AS INTEGER)))"
_HASH = (
    "CAST('0x' || substr(sha256('bucket' || chr(31) || fan.creator_id || chr(31) || fan.id), 1, 16)"
    " AS UBIGINT)"
)
FUNCTIONS: dict[str, Function] = {
    "days_since": Function((Type.TIME,), Type.NUMBER, _SINCE.replace("SECONDS", "86400")),
    "hours_since": Function((Type.TIME,), Type.NUMBER, _SINCE.replace("SECONDS", "3600")),
    "days_until_anniversary": Function(
        (Type.DATE,),
        Type.NUMBER,
        "CAST(date_diff('day', " + _TODAY + ", CAST(CASE WHEN CAST("
        + _NEXT.replace("{1}", "0") + " AS DATE) >= " + _TODAY + " THEN "
        + _NEXT.replace("{1}", "0") + " ELSE " + _NEXT.replace("{1}", "1")
        + " END AS DATE)) AS DOUBLE)",
    ),
    "has_tag": Function(
        (Type.TEXT,),
        Type.BOOL,
        "coalesce(list_contains(fan.tags, {0}), false)",
        ("fan.tags",),
    ),
    "bucket": Function(
        (Type.NUMBER,),
        Type.NUMBER,
        f"floor(CAST({_HASH} AS DOUBLE) / 18446744073709551616.0 * {{0}})",
        ("fan.creator_id", "fan.id"),
    ),
    "lower": Function((Type.TEXT,), Type.TEXT, "lower({0})"),
    "upper": Function((Type.TEXT,), Type.TEXT, "upper({0})"),
    "length": Function((Type.TEXT,), Type.NUMBER, "CAST(length({0}) AS DOUBLE)"),
    "starts_with": Function((Type.TEXT, Type.TEXT), Type.BOOL, "starts_with({0}, {1})"),
    "abs": Function((Type.NUMBER,), Type.NUMBER, "abs({0})"),
}  # fmt: skip
AGES = ("days_since", "hours_since")
SPECIAL = ("coalesce", "contains", "in_segment", "number")
"""Functions whose values are looked at before there is a type."""
BEHAVIOURS = ("avg", "count", "first", "last", "max", "min", "performed", "received", "sum")
"""Functions over the fan's own events."""
NAMED = ("within", "at_least", "where")
"""What a behaviour may be given by name: within => '30d'."""
FREE = ("abs", "coalesce", "contains", "length", "lower", "number", "starts_with", "upper")
"""Functions that ask neither the fan nor the clock: the ones that `where =>` may use."""


class Dialect(DuckDB):
    """DuckDB's grammar without its functions: a call stays as it was written."""

    class Parser(DuckDB.Parser):
        """The parser of conditions."""

        FUNCTIONS = {}
        FUNCTION_PARSERS = {
            name: parser
            for name, parser in DuckDB.Parser.FUNCTION_PARSERS.items()
            if name not in ("MIN", "MAX")
        }


def finite(text: str) -> float | None:
    """Return the number that a text is; None for what is none, or too large to be kept as one.

    What overflows would become infinity, which is a name in SQL and no value.
    """
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def quote(text: str) -> str:
    """Return a text as a literal; a NUL, which DuckDB's parser ends at, is left out."""
    return quoted(text.replace("\x00", ""))

"""The next instant at which time alone can move a fan into or out of a segment, as SQL.

What moves a condition is read by whoever wrote it (`Edge`); here it becomes one instant a fan, so
that a refresh finds the fans whose time has come by comparing one column.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

NEVER = "CAST(NULL AS TIMESTAMPTZ)"
_PAD = 1.0
"""Seconds on both sides of an edge in which a fan is asked again: floats are not exact."""
_FAR = 3e9
"""Seconds: what is a century away is never."""


class Edge(Protocol):
    """One way in which time alone moves an answer; see `rulebook.edges`."""

    @property
    def kind(self) -> str:
        """Return span, day or always."""
        ...

    @property
    def value(self) -> str:
        """Return the SQL number that time moves."""
        ...

    @property
    def limit(self) -> float:
        """Return what it is compared with."""
        ...

    @property
    def rate(self) -> float:
        """Return how much it grows a second (span)."""
        ...


def values(edges: Iterable[Edge]) -> dict[str, str]:
    """Return the numbers that time moves, each with the column that holds it.

    Conditions ask for few of them and again and again: computed once a fan, they are named after.
    """
    distinct = dict.fromkeys(edge.value for edge in edges if edge.value)
    return {value: f"moved_{n}" for n, value in enumerate(distinct)}


def next_at(edges: Iterable[Edge], as_of: str, columns: Mapping[str, str]) -> str:
    """Return the SQL instant of the first edge after `as_of`; null when time changes nothing.

    It is never later than the true one. Every distinct value is looked at once, whatever the number
    of its limits.

    Args:
        edges: what time alone moves.
        as_of: the SQL instant of the question.
        columns: `values`.
    """
    spans: dict[tuple[str, float], set[float]] = {}
    days: dict[str, set[float]] = {}
    for edge in edges:
        if edge.kind == "always":
            return as_of
        column = columns[edge.value]
        if edge.kind == "day":
            days.setdefault(column, set()).add(edge.limit)
        else:
            spans.setdefault((column, edge.rate), set()).add(edge.limit)
    remaining = [_span(value, rate, limits) for (value, rate), limits in spans.items()]
    if days:
        counts = [_days(value, sorted(limits)) for value, limits in days.items()]
        night = f"(86400.0 - epoch({as_of}) % 86400.0)"
        remaining.append(f"(({_least(counts)} - 1) * 86400.0 + {night})")
    if not remaining:
        return NEVER
    # Milliseconds since 1970: an interval would know of months and years, and in microseconds the
    # same instant reckoned from another moment would look like another one, floats being inexact.
    seconds = f"nullif(least({_least(remaining)}, {_FAR}), {_FAR})"
    return f"make_timestamptz(CAST((epoch({as_of}) - {_PAD} + {seconds}) * 1e3 AS BIGINT) * 1000)"


def _span(value: str, rate: float, limits: set[float]) -> str:
    """Return the seconds until the value passes the next of its limits."""
    pad = _PAD * rate
    edge = _first(value, "<" if rate > 0 else ">", sorted(limits, reverse=rate < 0), pad)
    return f"(({edge} - {value}) / {rate!r}::DOUBLE)"


def _first(value: str, sign: str, limits: list[float], pad: float, last: str = "NULL") -> str:
    """Return the first limit that is still ahead of the value: halved until it is found."""
    if not limits:
        return last
    half = len(limits) // 2
    middle = f"{limits[half]!r}::DOUBLE"
    before = _first(value, sign, limits[:half], pad, middle)
    after = _first(value, sign, limits[half + 1 :], pad, last)
    edge = f"{limits[half] + pad!r}::DOUBLE"
    return f"CASE WHEN {value} {sign} {edge} THEN {before} ELSE {after} END"


def _days(value: str, limits: list[float]) -> str:
    """Return after how many midnights a count of days passes a limit, or begins anew."""
    finite = [limit for limit in limits if limit != float("inf")]
    if len(finite) < len(limits):
        return f"(CASE WHEN {value} IS NOT NULL THEN 1 END)"
    parts = [
        f"CASE WHEN {value} > {limit} THEN greatest(1, floor({value} - {limit}))"
        f" WHEN {value} = {limit} THEN 1 ELSE {value} + 1 END"
        for limit in (f"{number!r}::DOUBLE" for number in finite)
    ]
    return _least(parts)


def _least(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"least({', '.join(parts)})"

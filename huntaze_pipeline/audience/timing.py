"""The next instant at which time alone can move a fan into or out of a segment, as SQL.

What moves a condition is read by whoever wrote it (`Edge`); here it becomes one instant a fan, so
that a refresh finds the fans whose time has come by comparing one column.
"""

from collections.abc import Iterable
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


def next_at(edges: Iterable[Edge], as_of: str) -> str:
    """Return the SQL instant of the first edge after `as_of`; null when time changes nothing.

    It is never later than the true one. Every distinct value is looked at once, whatever the number
    of its limits.
    """
    spans: dict[tuple[str, float], set[float]] = {}
    days: dict[str, set[float]] = {}
    for edge in edges:
        if edge.kind == "always":
            return as_of
        if edge.kind == "day":
            days.setdefault(edge.value, set()).add(edge.limit)
        else:
            spans.setdefault((edge.value, edge.rate), set()).add(edge.limit)
    remaining = [_span(value, rate, limits) for (value, rate), limits in spans.items()]
    if days:
        counts = [_days(value, sorted(limits)) for value, limits in days.items()]
        night = f"(86400.0 - epoch({as_of}) % 86400.0)"
        remaining.append(f"(({_least(counts)} - 1) * 86400.0 + {night})")
    if not remaining:
        return NEVER
    # Whole microseconds since 1970; an interval would know of months and years.
    instant = f"epoch_us({as_of}) + CAST((seconds - {_PAD}) * 1e6 AS BIGINT)"
    chosen = f"CASE WHEN seconds < {_FAR} THEN make_timestamptz({instant}) END"
    return chosen.replace("seconds", f"({_least(remaining)})")


def _span(value: str, rate: float, limits: set[float]) -> str:
    """Return the seconds until the value passes the next of its limits."""
    pad, ahead = _PAD * abs(rate), rate > 0
    sign, shift = ("<", f"+ {pad!r}") if ahead else (">", f"- {pad!r}")
    cases = " ".join(
        f"WHEN {value} {sign} {limit!r}::DOUBLE {shift}::DOUBLE THEN {limit!r}::DOUBLE - {value}"
        for limit in sorted(limits, reverse=not ahead)
    )
    return f"((CASE {cases} END) / {rate!r}::DOUBLE)"


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

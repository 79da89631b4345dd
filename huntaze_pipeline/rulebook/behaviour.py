"""What a fan did, as features: one aggregate over its own events, and the SQL that computes it.

`performed('purchase', within => '30d')` becomes the feature "count of purchases in 30 days", and
the condition's SQL reads it as one more column of `fan`. Belongs here: the feature, and its query,
the same for a live batch, all fans of the lake, and each entry of a backtest. Reading the calls
from a condition is `calls`'.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from huntaze_pipeline import hashing
from huntaze_pipeline.rulebook.language import quote

VALUE = "value"
"""The money of an event, in units; any other `Feature.value` is the SQL of a field of `counted`."""
FIELDS = (
    "name", "platform", "account_id", "campaign_id", "message_id", "value_micros", "currency",
    "occurred_at", "properties",
)  # fmt: skip
"""What `columns` reads of an event besides `creator_id`, `event_id`, `fan_id` and `position`."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One aggregate over a fan's events of one name; the same question has the same key."""

    event: str
    aggregate: str
    """count | sum | avg | min | max | first | last"""
    value: str | None = None
    """None: the event itself counts, or its time (first, last)."""
    where: str | None = None
    """One SQL boolean over the alias `counted`."""
    within: timedelta | None = None
    """Only events at most so long before the moment; None: all of them."""
    key: str = field(init=False)
    """The column of `fan`."""

    def __post_init__(self) -> None:
        """Name the feature by what it asks."""
        asked = [self.event, self.aggregate, self.value, self.where, str(self.within)]
        object.__setattr__(self, "key", f"did_{hashing.content(asked)[:16]}")


def union(*groups: Iterable[Feature]) -> tuple[Feature, ...]:
    """Return the distinct features of several groups, always in the same order."""
    return tuple(sorted({f for group in groups for f in group}, key=lambda f: f.key))


def longest(features: Iterable[Feature]) -> timedelta | None:
    """Return how far back any of these features looks; None: to the beginning."""
    windows = [f.within for f in features]
    if not windows:
        return timedelta(0)
    return None if None in windows else max(w for w in windows if w is not None)


def columns(features: Iterable[Feature], events: str, askers: str, *, ordered: bool = True) -> str:
    """Return the query that computes features: one row per asker, one column per feature.

    An event counts for an asker when it is the same fan's, had arrived by then
    (`events.position <= askers.position`), and happened at most `within` before `moment` (exactly
    so long ago still counts). Later than the moment but known counts: nobody is reminded of what
    it has just done. Sums and averages are exact in micro-units, whatever the order of the rows.

    Args:
        features: what to compute.
        events: a relation with `creator_id, event_id, fan_id, position` and `FIELDS`, each event
            once; `value_micros` BIGINT, `properties` JSON text.
        askers: a relation with `creator_id, fan_id, position, moment` (TIMESTAMPTZ).
        ordered: False: all events count, whatever their position (there need not be any).

    Returns:
        SQL whose rows are `(creator_id, fan_id, position, <key> …)`. A count or sum without events
        is 0, everything else null.
    """
    wanted = union(features)
    marks = ", ".join(f"({_counts(f)}) AS {_mark(f)}" for f in wanted)
    values = [f"{_taken(f)} AS {_given(f)}" for f in wanted if f.value is not None]
    place = ", counted.position" if ordered else ""
    inner = (
        f"SELECT counted.creator_id, counted.fan_id, counted.id, counted.occurred_at{place}, "
        f"{', '.join([marks, *values])} FROM (SELECT {_renamed(ordered)} FROM {events} "
        f"WHERE name IN ({', '.join(sorted({quote(f.event) for f in wanted}))})) AS counted"
    )
    known = " AND e.position <= a.position" if ordered else ""
    since = longest(wanted)
    recent = f" AND e.occurred_at >= a.moment - {_interval(since)}" if since is not None else ""
    aggregates = ", ".join(f'{_aggregate(f)} AS "{f.key}"' for f in wanted)
    return (
        f"SELECT a.creator_id, a.fan_id, a.position, {aggregates} FROM {askers} AS a "
        f"LEFT JOIN ({inner}) AS e ON e.creator_id = a.creator_id AND e.fan_id = a.fan_id"
        f"{known}{recent} GROUP BY a.creator_id, a.fan_id, a.position"
    )


def _renamed(ordered: bool) -> str:
    same = [name for name in FIELDS if name != "value_micros"]
    place = ["position"] if ordered else []
    money = 'value_micros, CAST(value_micros AS DOUBLE) / 1000000 AS "value"'
    return ", ".join(["creator_id", "fan_id", "event_id AS id", *place, *same, money])


def _counts(feature: Feature) -> str:
    named = f"counted.name = {quote(feature.event)}"
    return f"{named} AND coalesce({feature.where}, false)" if feature.where else named


def _mark(feature: Feature) -> str:
    return f'"is_{feature.key}"'


def _given(feature: Feature) -> str:
    return f'"of_{feature.key}"'


def _taken(feature: Feature) -> str:
    """The value of one event: whole micro-units where it is added up or compared."""
    if feature.aggregate in ("first", "last"):
        return 'counted."value"' if feature.value == VALUE else str(feature.value)
    if feature.value == VALUE:
        return "counted.value_micros"
    return f"CAST(TRY_CAST({feature.value} AS DECIMAL(18, 6)) * 1000000 AS BIGINT)"


def _interval(window: timedelta) -> str:
    return f"to_microseconds({window // timedelta(microseconds=1)})"


def _aggregate(feature: Feature) -> str:
    recent = (
        f" AND e.occurred_at >= a.moment - {_interval(feature.within)}" if feature.within else ""
    )
    those = f"FILTER (WHERE e.{_mark(feature)}{recent})"
    value = f"e.{_given(feature)}"
    if feature.aggregate == "count":
        return f"CAST(count(*) {those} AS DOUBLE)"
    if feature.aggregate == "sum":
        return f"CAST(coalesce(sum({value}) {those}, 0) AS DOUBLE) / 1000000"
    if feature.aggregate == "avg":
        return f"CAST(sum({value}) {those} AS DOUBLE) / nullif(count({value}) {those}, 0) / 1000000"
    if feature.aggregate in ("min", "max"):
        return f"CAST({feature.aggregate}({value}) {those} AS DOUBLE) / 1000000"
    return _edge(feature, those, value)


def _edge(feature: Feature, those: str, value: str) -> str:
    """The first or last event: its time, or what it holds; ties go by the event's id."""
    pick = "min" if feature.aggregate == "first" else "max"
    if feature.value is None:
        return f"{pick}(e.occurred_at) {those}"
    whole = f"struct_pack(t := e.occurred_at, i := e.id, v := {value})"
    return f"struct_extract({pick}({whole}) {those}, 'v')"

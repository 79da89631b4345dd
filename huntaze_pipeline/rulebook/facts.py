"""Facts about fans, each declared once as a mergeable aggregate over events.

The same declaration gives the state of many fans from an events relation, the merge of two states,
and the fields as of every event of a batch (that event included). So a live tick (state of the lake
plus what is newer), a rebuild and a backtest cannot answer differently.

A state row is `(creator_id, fan_id, <one column per fact>)`; `columns` turns it into fan fields.
An events relation has `creator_id, fan_id, name, value_micros, occurred_at, message_id,
campaign_id`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from huntaze_pipeline import hashing

ACTIVE = ("subscribed", "purchase", "tip", "redeemed", "replied", "viewed", "opened", "clicked")
"""What a fan does; what is done to a fan (sent, delivered, bounced, …) is no activity."""
_MESSAGE = "coalesce(message_id, campaign_id)"


@dataclass(frozen=True)
class Fact:
    """One aggregate: over which events, of what, merged how."""

    name: str
    kind: str
    """sum | count | min | max | distinct"""
    events: tuple[str, ...]
    value: str = "occurred_at"
    field: str = "{0}"
    """The fan field as an expression of the state column."""

    @property
    def where(self) -> str:
        """The SQL boolean that an event counts."""
        return "name in (" + ", ".join(f"'{name}'" for name in self.events) + ")"


_OPENED = ("opened", "clicked")  # a click implies an open, an open a delivery; once per message
_RECEIVED = ("sent", "delivered", *_OPENED)
_MONEY = "CAST({0} AS DOUBLE) / 1000000"
_COUNT = "CAST({0} AS DOUBLE)"
_LENGTH = "CAST(len({0}) AS DOUBLE)"
FACTS: tuple[Fact, ...] = (
    Fact("lifetime_spend", "sum", ("purchase", "tip"), "value_micros", _MONEY),
    Fact("purchases", "count", ("purchase",), field=_COUNT),
    Fact("tips", "count", ("tip",), field=_COUNT),
    Fact("first_purchase_at", "min", ("purchase",)),
    Fact("last_purchase_at", "max", ("purchase",)),
    Fact("last_active_at", "max", ACTIVE),
    Fact("subscribed_at", "max", ("subscribed",)),
    Fact("unsubscribed_at", "max", ("unsubscribed",)),
    Fact("messages_received", "distinct", _RECEIVED, _MESSAGE, _LENGTH),
    Fact("messages_opened", "distinct", _OPENED, _MESSAGE, _LENGTH),
    Fact("messages_clicked", "distinct", ("clicked",), _MESSAGE, _LENGTH),
    Fact("last_opened_at", "max", _OPENED),
    Fact("last_clicked_at", "max", ("clicked",)),
)
NAMES = tuple(fact.name for fact in FACTS)
VERSION = hashing.content([vars(fact) for fact in FACTS])
"""What is kept of facts under another version has to be counted anew."""
_EMPTY = {
    "sum": "CAST(0 AS BIGINT)",
    "count": "CAST(0 AS BIGINT)",
    "distinct": "CAST([] AS VARCHAR[])",
}
_KEY = "creator_id, fan_id"


def state(events: str) -> str:
    """Return the query that makes one state row per fan from an events relation."""
    return f"SELECT {_KEY}, {_list(_aggregate)} FROM {events} GROUP BY ALL"


def merge(*states: str) -> str:
    """Return the query that makes one state row per fan from several state relations."""
    union = " UNION ALL BY NAME ".join(f"SELECT * FROM {relation}" for relation in states)
    return f"SELECT {_KEY}, {_list(_merged)} FROM ({union}) GROUP BY ALL"


def running(
    states: str,
    events: str,
    names: Collection[str] = NAMES,
    moved: Collection[str] = NAMES,
    *,
    also: str = "",
) -> str:
    """Return the query that gives each event the fields of its fan up to and including it.

    A fan's field before the batch is in its state, so only the facts that the batch can move are
    added up along it; of a message counts the first event that the state does not know.

    Args:
        states: the state before the batch; fans without a row there start empty.
        events: the batch; besides an events relation's columns it has `position`, unique.
        names: the facts that are asked for.
        moved: those that events of the batch may change; the others stay as they were before it.
        also: more columns to select, of `seen` (the event) and `base` (its fan's state).
    """
    wanted = [fact for fact in FACTS if fact.name in names]
    moving = [fact for fact in wanted if fact.name in moved]
    fields = "".join(f", {_up_to(fact, fact in moving)} AS {fact.name}" for fact in wanted)
    seen = _along(states, events, moving) if moving else events
    return (
        f"SELECT seen.creator_id, seen.fan_id, seen.position{fields}{also}"
        f" FROM {seen} AS seen LEFT JOIN {states} AS base USING ({_KEY})"
    )


def _along(states: str, events: str, moving: Sequence[Fact]) -> str:
    """Return the events with what has moved up to each, by a window."""
    if _distinct(moving):
        firsts = ", ".join(f"{_first_new(fact)} AS first_{fact.name}" for fact in _distinct(moving))
        events = f"(SELECT e.*, {firsts} FROM {events} AS e{_known(states, moving)})"
    sums = ", ".join(f"{_past(fact)} AS new_{fact.name}" for fact in moving)
    over = f"WINDOW past AS (PARTITION BY {_KEY} ORDER BY position)"
    return f"(SELECT *, {sums} FROM {events} {over})"


def _known(states: str, moving: Iterable[Fact]) -> str:
    """Return the join of the messages that states know."""
    lists = ", ".join(fact.name for fact in _distinct(moving))
    return f" LEFT JOIN (SELECT {_KEY}, {lists} FROM {states}) AS known USING ({_KEY})" * bool(
        lists
    )


def moved(events: Iterable[str]) -> frozenset[str]:
    """Return the facts that events with these names can change."""
    names = set(events)
    return frozenset(fact.name for fact in FACTS if names.intersection(fact.events))


def as_of(events: str, askers: str, names: Iterable[str], key: str = _KEY) -> str:
    """Return the query that gives each asker its fan's fields as they were known at its place.

    The set-based form of `running` for the past: any number of askers, only the facts that are
    asked for; distinct messages are counted at their first event, not kept in lists.

    Args:
        events: everything that happened; besides an events relation's columns it has `seen_at`
            (when it was known) and `tie` (its place among those of the same instant).
        askers: has `key`, `position`, `seen_at` and `tie`; an event at the same place is included.
        names: the facts.
        key: the columns that name a fan in both relations.
    """
    wanted = [fact for fact in FACTS if fact.name in set(names)]
    used = sorted({column for fact in wanted for column in reads(fact)})
    firsts = "".join(f", {_first(fact, key)} AS first_{fact.name}" for fact in _distinct(wanted))
    blank = ", ".join(f"NULL AS {column}" for column in used)
    inner = "".join(f", {_past(fact)} AS {fact.name}" for fact in wanted)
    fields = "".join(f", {_past_field(fact)} AS {fact.name}" for fact in wanted)
    kinds = sorted({name for fact in wanted for name in fact.events})
    only = ", ".join(f"'{name}'" for name in kinds)
    return (
        f"SELECT position{fields} FROM (SELECT position{inner} FROM ("
        f"SELECT {key}, seen_at, tie, NULL AS position, {', '.join(used)}{firsts}"
        f" FROM {events} WHERE name IN ({only})"
        f" UNION ALL BY NAME SELECT {key}, seen_at, tie, position, {blank} FROM {askers})"
        f" WINDOW past AS (PARTITION BY {key} ORDER BY seen_at, tie)) WHERE position IS NOT NULL"
    )


def reads(fact: Fact) -> tuple[str, ...]:
    """Return the columns of an event that a fact reads."""
    if fact.kind == "count":
        return ("name",)
    return ("name", "message_id", "campaign_id") if fact.value == _MESSAGE else ("name", fact.value)


def _distinct(wanted: Iterable[Fact]) -> list[Fact]:
    return [fact for fact in wanted if fact.kind == "distinct"]


def _first(fact: Fact, key: str) -> str:
    """Say of an event that it is the first that counts of its message."""
    over = f"(PARTITION BY {key}, {fact.where}, {fact.value} ORDER BY seen_at, tie)"
    return f"({fact.where} AND {fact.value} IS NOT NULL AND row_number() OVER {over} = 1)"


def _past(fact: Fact) -> str:
    if fact.kind == "distinct":
        return f"count(*) FILTER (WHERE first_{fact.name}) OVER past"
    tail = f"FILTER (WHERE {fact.where}) OVER past"
    if fact.kind == "count":
        return f"count(*) {tail}"
    return f"{fact.kind}({fact.value}) {tail}"


def _past_field(fact: Fact) -> str:
    if fact.kind == "distinct":
        return _COUNT.format(fact.name)
    if fact.kind == "sum":
        return fact.field.format(f"coalesce(CAST({fact.name} AS BIGINT), 0)")
    return fact.field.format(fact.name)


def columns(alias: str) -> str:
    """Return the select list that turns a state row (or its absence) into fan fields."""
    return ", ".join(f"{fact.field.format(_filled(fact, alias))} AS {fact.name}" for fact in FACTS)


def values(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fan fields of one state row in Python, as `columns` does in SQL."""
    return {fact.name: _value(fact, state.get(fact.name)) for fact in FACTS}


def _value(fact: Fact, state: Any) -> Any:
    if fact.kind == "distinct":
        return float(len(state or []))
    if fact.kind in ("sum", "count"):
        return (state or 0) / scale(fact)
    return state


def scale(fact: Fact) -> int:
    """Return by what a state's number is divided to give the field."""
    return 1_000_000 if fact.field == _MONEY else 1


def _list(render: Callable[[Fact], str]) -> str:
    return ", ".join(f"{render(fact)} AS {fact.name}" for fact in FACTS)


def _aggregate(fact: Fact) -> str:
    tail = f"FILTER (WHERE {fact.where})"
    if fact.kind == "count":
        return f"CAST(count(*) {tail} AS BIGINT)"
    if fact.kind == "sum":
        return f"coalesce(CAST(sum({fact.value}) {tail} AS BIGINT), 0)"
    if fact.kind == "distinct":
        keep = f"FILTER (WHERE {fact.where} AND {fact.value} IS NOT NULL)"
        return f"list_sort(list_distinct(coalesce(list({fact.value}) {keep}, [])))"
    return f"{fact.kind}({fact.value}) {tail}"


def _merged(fact: Fact) -> str:
    if fact.kind in ("sum", "count"):
        return f"CAST(sum({fact.name}) AS BIGINT)"
    if fact.kind == "distinct":
        return f"list_sort(list_distinct(flatten(list({fact.name}))))"
    return f"{fact.kind}({fact.name})"


def _new(fact: Fact) -> str:
    """Say of an event that it counts a message that the state does not know."""
    old = f"coalesce(list_contains(known.{fact.name}, {fact.value}), false)"
    return f"{fact.where} AND {fact.value} IS NOT NULL AND NOT {old}"


def _first_new(fact: Fact) -> str:
    over = f"(PARTITION BY {_KEY}, {fact.value}, {fact.where} ORDER BY position)"
    return f"({_new(fact)} AND row_number() OVER {over} = 1)"


def _up_to(fact: Fact, moving: bool) -> str:
    """Return the field of a fan that `base` had before and the batch has moved since."""
    old, new = f"base.{fact.name}", f"seen.new_{fact.name}"
    if fact.kind == "distinct":
        count = f"coalesce(len({old}), 0)"
        return _COUNT.format(f"({count} + {new})" if moving else count)
    if not moving:
        return fact.field.format(_filled(fact, "base"))
    if fact.kind in ("sum", "count"):
        return fact.field.format(f"CAST(coalesce({new}, 0) + {_filled(fact, 'base')} AS BIGINT)")
    return f"{'least' if fact.kind == 'min' else 'greatest'}({new}, {old})"


def _filled(fact: Fact, alias: str) -> str:
    column = f"{alias}.{fact.name}"
    return f"coalesce({column}, {_EMPTY[fact.kind]})" if fact.kind in _EMPTY else column

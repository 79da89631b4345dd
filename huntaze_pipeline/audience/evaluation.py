"""What segments ask of fans: creators with the same segments are one question, in one pass.

A fan's answers are bits: the n-th of `inside` belongs to the n-th distinct question of its creator.
Belongs here: the questions. Which fans are asked is `standing`'s.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Any, Protocol

from huntaze_pipeline import hashing
from huntaze_pipeline.audience import timing

FORMAT = 2
"""Raised when `inside` or `next_at` come to mean something else: everybody is asked anew then."""
EVENTS = "lake.raw.events"
FACTS = "lake.marts.fan_facts"
EMPTY = "CAST([] AS UTINYINT[])"
_FIELD = re.compile(r'\bfan\."?(\w+)"?')
PROFILE = ("attributes", "tags", "created_at")
"""Fields that only the copy of the fans' profiles has."""


class Feature(Protocol):
    """Something that a fan did, as a number or a time; see `rulebook.behaviour`."""

    @property
    def key(self) -> str:
        """The column of `fan`."""
        ...

    @property
    def event(self) -> str:
        """The name of the events that count."""
        ...


class Selection(Protocol):
    """A segment that can be evaluated."""

    @property
    def creator_id(self) -> str:
        """Whose segment."""
        ...

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def predicate(self) -> str:
        """One SQL boolean over the alias `fan`, never null."""
        ...

    @property
    def definition(self) -> str:
        """Content hash of what it asks."""
        ...

    @property
    def edges(self) -> Sequence[timing.Edge]:
        """When time alone may change the answer."""
        ...

    @property
    def fans(self) -> Sequence[str] | None:
        """A static segment's list."""
        ...

    @property
    def lists(self) -> frozenset[str]:
        """The static segments that it asks for."""
        ...

    @property
    def features(self) -> Sequence[Any]:
        """What it asks of the fans' own events."""
        ...

    def computed(self, features: Sequence[Any], events: str, askers: str, now: datetime) -> str:
        """Return the query of features for askers (creator_id, fan_id, position, moment)."""
        ...


@dataclass(frozen=True)
class Group:
    """Creators whose segments ask the same."""

    creators: tuple[str, ...]
    names: tuple[tuple[str, int, str], ...]
    """(segment, place of its bit, definition)"""
    predicates: tuple[str, ...]
    """By place."""
    edges: tuple[timing.Edge, ...]
    lists: frozenset[str]
    features: tuple[Feature, ...]
    hash: str
    computed: Callable[[Sequence[Any], str, str, datetime], str]

    @property
    def fields(self) -> frozenset[str]:
        """The fields of a fan that are read; a word in quotes that looks like one counts too."""
        texts = (*self.predicates, *(edge.value for edge in self.edges))
        return frozenset(name for text in texts for name in _FIELD.findall(text))


def groups(segments: Sequence[Selection]) -> list[Group]:
    """Put creators with the same dynamic segments together."""
    mine: dict[str, list[Selection]] = {}
    for segment in sorted(segments, key=lambda s: (s.creator_id, s.id)):
        mine.setdefault(segment.creator_id, [])
        if segment.fans is None:
            mine[segment.creator_id].append(segment)
    alike: dict[str, list[str]] = {}
    for creator, asked in mine.items():
        key = hashing.content([FORMAT, [[s.id, s.definition] for s in asked]])
        alike.setdefault(key, []).append(creator)
    return [_group(key, creators, mine[creators[0]]) for key, creators in alike.items()]


def _group(key: str, creators: list[str], asked: list[Selection]) -> Group:
    places: dict[str, int] = {}
    for segment in asked:
        places.setdefault(segment.definition, len(places))
    predicates = {places[s.definition]: s.predicate for s in asked}
    return Group(
        tuple(creators),
        tuple((s.id, places[s.definition], s.definition) for s in asked),
        tuple(predicates[i] for i in range(len(predicates))),
        tuple(dict.fromkeys(edge for s in asked for edge in s.edges)),
        frozenset().union(*(s.lists for s in asked)),
        tuple({f.key: f for s in asked for f in s.features}.values()),
        key,
        asked[0].computed if asked else _nothing,
    )


def _nothing(*_: object) -> str:
    raise AssertionError("nobody asks")


def fans(group: Group, facts: str = FACTS) -> str:
    """Return the relation `fan` for a group: the facts, joined to no more than is asked for."""
    profile = [name for name in PROFILE if name in group.fields]
    texts = {"tags": "coalesce(CAST(json_extract_string(f.tags, '$[*]') AS VARCHAR[]), []) AS tags"}
    extra = "".join(f", {texts.get(name, f'f.{name}')}" for name in profile)
    sql = f"SELECT x.creator_id, x.fan_id AS id, x.* EXCLUDE (creator_id, fan_id){extra}"
    if group.lists:
        sql += ", l.lists"
    sql += f" FROM {facts} x"
    if profile:
        sql += " LEFT JOIN lake.raw.fans f ON f.creator_id = x.creator_id AND f.id = x.fan_id"
    if group.lists:
        sql += " LEFT JOIN _lists l ON l.creator_id = x.creator_id AND l.fan_id = x.fan_id"
    return sql


def question(group: Group, now: datetime, where: str = "", facts: str = FACTS) -> str:
    """Return the query of (creator_id, fan_id, inside, next_at) for a group's fans.

    Args:
        group: what to ask.
        now: the moment of the question.
        where: an SQL condition over `fan` that chooses whom to ask.
        facts: the table of the fans' facts, if not the whole one.
    """
    as_of = f"TIMESTAMPTZ '{now.isoformat(sep=' ')}'"
    chosen = f" WHERE {where}" if where else ""
    relation = fans(group, facts)
    if group.features:
        askers = (
            f"(SELECT fan.creator_id, fan.id AS fan_id, 0 AS position, {as_of} AS moment FROM"
            f" (SELECT creator_id, fan_id AS id FROM {facts}) AS fan{chosen})"
        )
        did = group.computed(group.features, EVENTS, askers, now)
        relation = (
            f"SELECT fan.*, did.* EXCLUDE (creator_id, fan_id, position) FROM ({relation}) AS fan"
            f" LEFT JOIN ({did}) AS did ON did.creator_id = fan.creator_id AND did.fan_id = fan.id"
        )
    moved = timing.values(group.edges)
    if moved:
        extra = ", ".join(f"{value} AS {name}" for value, name in moved.items())
        relation = f"SELECT fan.*, {extra} FROM ({relation}) AS fan"
    inside = bits(_shared(group.predicates, moved, as_of))
    return (
        f"SELECT fan.creator_id, fan.id AS fan_id, {inside} AS inside,"
        f" {timing.next_at(group.edges, as_of, moved)} AS next_at"
        f" FROM ({relation}) AS fan{chosen}"
    )


def _shared(predicates: Sequence[str], moved: Mapping[str, str], as_of: str) -> list[str]:
    """Write the columns of moving values for the values, where these stand in brackets."""
    texts = list(predicates)
    for value in sorted(moved, key=len, reverse=True):
        if as_of in value and _bracketed(value.replace(as_of, "")):
            texts = [text.replace(value, moved[value]) for text in texts]
    return texts


def _bracketed(text: str) -> bool:
    """Say whether the first bracket ends with the text; not of texts that quote others."""
    depths = list(accumulate((c == "(") - (c == ")") for c in text))
    return "'" not in text and text[:1] == "(" and depths.index(0) == len(text) - 1


def bits(predicates: Sequence[str]) -> str:
    """Return SQL that packs booleans into bytes: place n is bit n % 8 of byte n // 8."""
    words = [
        " | ".join(
            f"(({text})::UTINYINT << {i})" for i, text in enumerate(predicates[start : start + 8])
        )
        for start in range(0, len(predicates), 8)
    ]
    return f"[{', '.join(words)}]" if words else EMPTY


def at(column: str, name: str) -> str:
    """Return the SQL boolean whether the bit of a named segment is set; false where there is none.

    Args:
        column: an `inside`.
        name: the alias of a row with `word` (from 1) and `mask`.
    """
    return f"coalesce(({column}[{name}.word] & {name}.mask) <> 0, false)"

"""Which rules hold for which events: one set-based query for a whole batch.

Belongs here: the query; the tables that it reads are `relations`'. Rules with the same text are
asked once, however many creators have them.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import duckdb
import polars as pl

from huntaze_pipeline.rulebook import prepared, relations
from huntaze_pipeline.rulebook.behaviour import Feature, union
from huntaze_pipeline.rulebook.conditions import parse
from huntaze_pipeline.rulebook.language import quote
from huntaze_pipeline.rulebook.people import People
from huntaze_pipeline.rulebook.schema import Automation
from huntaze_pipeline.rulebook.steps import Occurrence

_MOMENT = 'event."moment"'
_CHUNK = 300
"""Questions in one query; more only make its planning slow."""
_KEPT, _PARTS = 3_000, 200
_SHELF = prepared.Shelf()


@dataclass(frozen=True)
class Question:
    """One thing to ask of every event of a batch."""

    event_name: str | None
    sql: str
    features: tuple[Feature, ...] = ()
    """Columns of `fan` that the SQL reads besides its own."""


@dataclass
class Answers:
    """What a batch of questions came to."""

    hits: dict[int, set[str]] = field(default_factory=dict)
    """By position of the event: the keys of the questions answered with yes."""
    fans: dict[int, dict[str, Any]] = field(default_factory=dict)
    """By position: the fan's fields as of that event; only where there is a hit and such a fan."""


def triggered(rule: Automation) -> Question:
    """Return the question whether an event lets its fan enter an automation."""
    trigger = rule.trigger
    return _of_event(trigger.event, trigger.platform, trigger.properties, rule.conditions)


def occurred(what: Occurrence) -> Question:
    """Return the question whether an event is the one that is waited for."""
    return _of_event(what.event, what.platform, what.properties, what.conditions)


def holds(*conditions: Any, event: str | None = None) -> Question:
    """Return the question whether all of some conditions hold.

    Args:
        conditions: as they are written; None is always true.
        event: ask it of events with this name only; None: of every row.
    """
    read = [parse(where) for where in conditions if where is not None]
    sql = " AND ".join(condition.sql(_MOMENT) for condition in read)
    return Question(event, sql or "true", union(*(condition.features for condition in read)))


def _of_event(
    event: str | None, platforms: Sequence[str], properties: Mapping[str, Any], where: Any
) -> Question:
    condition = parse(where)
    parts = [condition.sql(_MOMENT)]
    if platforms:
        names = ", ".join(quote(name) for name in platforms)
        parts.append(f"coalesce(event.platform IN ({names}), false)")
    for key, value in sorted(properties.items()):
        path = quote(f'$."{key}"')
        wanted = quote(str(value).lower() if isinstance(value, bool) else str(value))
        parts.append(f"coalesce(json_extract_string(event.properties, {path}) = {wanted}, false)")
    return Question(event, " AND ".join(parts), condition.features)


def answers(
    events: pl.DataFrame,
    fans: pl.DataFrame,
    questions: Mapping[str, Question],
    around: People | None = None,
    *,
    running: bool = True,
) -> Answers:
    """Ask every question of every event of a batch.

    Args:
        events: `people.EVENTS` plus optionally `moment`, the instant of the question (default:
            when the event occurred).
        fans: profiles with state columns, as `people.load_fans` gives them.
        questions: what to ask, by key.
        around: the fans' histories, creators and campaigns, for questions that ask about them.
        running: neither states nor histories hold these events yet; each event is then judged
            with what there was up to and including it.
    """
    found = Answers()
    if not questions or events.is_empty():
        return found
    if "moment" not in events.columns:
        events = events.with_columns(moment=pl.col("occurred_at"))
    features = union(*(question.features for question in questions.values()))
    key = (running, features, *events.schema.items(), *fans.schema.items())
    asker = _SHELF.take(key, _Asker)
    if asker.full:
        _SHELF.drop(key)
    try:
        relations.fill(asker.bench, events, fans, around or People(fans), features, running=running)
        said = asker.hits(questions.values())
        found.hits = _named(said, questions)
        found.fans = relations.fans(asker.bench.con, list(found.hits))
    except duckdb.Error:
        _SHELF.drop(key)
        raise
    return found


def ask(con: duckdb.DuckDBPyConnection, questions: Mapping[str, Question]) -> Answers:
    """Ask every question of the relations `event` and `fan`, one row each per position.

    `fan` has `known` besides the fields: whether there is such a fan.
    """
    found, keys = Answers(), list(questions)
    for start in range(0, len(keys), _CHUNK):
        part = [(i, questions[keys[i]]) for i in range(start, min(start + _CHUNK, len(keys)))]
        for position, hits in con.execute(_query(part)).fetchall():
            found.hits.setdefault(position, set()).update(keys[i] for i in hits)
    found.fans = relations.fans(con, list(found.hits))
    return found


def _named(
    said: Mapping[int, Set[Question]], questions: Mapping[str, Question]
) -> dict[int, set[str]]:
    """Return the hits by the names under which the questions were asked."""
    names: dict[Question, list[str]] = {}
    for name, question in questions.items():
        names.setdefault(question, []).append(name)
    found = {
        position: {name for one in hits if one in names for name in names[one]}
        for position, hits in said.items()
    }
    return {position: hits for position, hits in found.items() if hits}


class _Asker:
    """Questions that were planned before; a batch asks of them as many as it needs."""

    def __init__(self) -> None:
        self.bench = prepared.Bench()
        self._parts: list[tuple[Question, ...]] = []
        self._place: dict[Question, int] = {}

    def hits(self, questions: Iterable[Question]) -> dict[int, set[Question]]:
        """Return which questions hold, by position; others that are planned with them as well."""
        asked = dict.fromkeys(questions)
        self._plan([one for one in asked if one not in self._place])
        found: dict[int, set[Question]] = {}
        for number in sorted({self._place[one] for one in asked}):
            part = self._parts[number]
            rows = self.bench.ask(number, lambda part=part: _query(list(enumerate(part)))).pl()
            for position, hit in rows.explode("hits").iter_rows():
                found.setdefault(position, set()).add(part[hit])
        return found

    def _plan(self, new: Sequence[Question]) -> None:
        for start in range(0, len(new), _CHUNK):
            part = tuple(new[start : start + _CHUNK])
            self._place |= dict.fromkeys(part, len(self._parts))
            self._parts.append(part)

    @property
    def full(self) -> bool:
        """Whether so many questions have come and gone that it is better to begin anew."""
        return len(self._place) > _KEPT or len(self._parts) > _PARTS


def _query(part: Sequence[tuple[int, Question]]) -> str:
    """Return the query that gives, per position, a list of the numbers that hold.

    The answers are one list of booleans a row: that is half the work of filtering numbers.
    """
    names = {question.event_name for _, question in part}
    only = (
        "true"
        if None in names
        else "event.name IN (" + ", ".join(quote(str(n)) for n in sorted(map(str, names))) + ")"
    )
    asked = ", ".join(_asked(question) for _, question in part)
    keys = ", ".join(str(i) for i, _ in part)
    return f"""
        SELECT position, list_where([{keys}], hits) AS hits FROM (
            SELECT event.position, [{asked}] AS hits
            FROM event JOIN fan ON fan.position = event.position{relations.joins(asked)}
            WHERE {only}
        ) WHERE list_contains(hits, true)
    """


def _asked(question: Question) -> str:
    if question.event_name is None:
        return question.sql
    return f"(event.name = {quote(question.event_name)} AND ({question.sql}))"

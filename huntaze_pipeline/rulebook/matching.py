"""Which rules hold for which events: one set-based query for a whole batch.

Belongs here: the query; the tables that it reads are `relations`'. Rules with the same text are
asked once, however many creators have them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import polars as pl

from huntaze_pipeline.rulebook import relations
from huntaze_pipeline.rulebook.behaviour import Feature, union
from huntaze_pipeline.rulebook.conditions import parse
from huntaze_pipeline.rulebook.language import quote
from huntaze_pipeline.rulebook.people import People
from huntaze_pipeline.rulebook.schema import Automation
from huntaze_pipeline.rulebook.steps import Occurrence

_MOMENT = 'event."moment"'
_CHUNK = 300
"""Questions in one query; more only make its planning slow."""


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
    with duckdb.connect(config={"threads": 2}) as con:
        relations.fill(con, events, fans, around or People(fans), features, running=running)
        return ask(con, questions)


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


def _query(part: Sequence[tuple[int, Question]]) -> str:
    names = {question.event_name for _, question in part}
    only = (
        "true"
        if None in names
        else "event.name IN (" + ", ".join(quote(str(n)) for n in sorted(map(str, names))) + ")"
    )
    cases = ", ".join(f"CASE WHEN {_asked(question)} THEN {i} END" for i, question in part)
    return f"""
        SELECT position, hits FROM (
            SELECT event.position, list_filter([{cases}], lambda hit: hit IS NOT NULL) AS hits
            FROM event JOIN fan ON fan.position = event.position{relations.joins(cases)}
            WHERE {only}
        ) WHERE len(hits) > 0
    """


def _asked(question: Question) -> str:
    if question.event_name is None:
        return question.sql
    return f"event.name = {quote(question.event_name)} AND ({question.sql})"

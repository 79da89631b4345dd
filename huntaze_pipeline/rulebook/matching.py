"""Which rules hold for which events: one set-based query for a whole batch.

Belongs here: the query. Rules with the same text are asked once, however many creators have them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import polars as pl

from huntaze_pipeline.rulebook import facts
from huntaze_pipeline.rulebook.conditions import parse
from huntaze_pipeline.rulebook.language import quote
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
    parts = [parse(where).sql(_MOMENT) for where in conditions if where is not None]
    return Question(event, " AND ".join(parts) or "true")


def _of_event(
    event: str | None, platforms: Sequence[str], properties: Mapping[str, Any], where: Any
) -> Question:
    parts = [parse(where).sql(_MOMENT)]
    if platforms:
        names = ", ".join(quote(name) for name in platforms)
        parts.append(f"coalesce(event.platform IN ({names}), false)")
    for key, value in sorted(properties.items()):
        path = quote(f'$."{key}"')
        wanted = quote(str(value).lower() if isinstance(value, bool) else str(value))
        parts.append(f"coalesce(json_extract_string(event.properties, {path}) = {wanted}, false)")
    return Question(event, " AND ".join(parts))


def answers(
    events: pl.DataFrame,
    fans: pl.DataFrame,
    questions: Mapping[str, Question],
    *,
    running: bool = True,
) -> Answers:
    """Ask every question of every event of a batch.

    Args:
        events: `people.EVENTS` plus optionally `moment`, the instant of the question (default:
            when the event occurred).
        fans: profiles with state columns, as `people.load_fans` gives them.
        questions: what to ask, by key.
        running: the fans' states do not hold these events yet; each event is then judged with the
            state up to and including it.
    """
    found = Answers()
    if not questions or events.is_empty():
        return found
    if "moment" not in events.columns:
        events = events.with_columns(moment=pl.col("occurred_at"))
    keys = list(questions)
    with duckdb.connect(config={"threads": 2}) as con:
        con.execute("set TimeZone = 'UTC'")
        con.register("batch_frame", events.to_arrow())
        con.register("fans_frame", fans.to_arrow())
        con.execute(_tables(running))
        for start in range(0, len(keys), _CHUNK):
            part = [(i, questions[keys[i]]) for i in range(start, min(start + _CHUNK, len(keys)))]
            for position, hits in con.execute(_query(part)).fetchall():
                found.hits.setdefault(position, set()).update(keys[i] for i in hits)
        rows = con.execute(_FANS, [list(found.hits)]).pl().iter_rows(named=True)
        found.fans = {row["position"]: row for row in rows}
    return found


_FANS = "SELECT * EXCLUDE (known) FROM fan WHERE known AND position IN (SELECT unnest(?))"


def _tables(running: bool) -> str:
    """Make the relations `event` and `fan`, one row each per position."""
    base = "fans_frame"
    still = f"""
        SELECT b.position, b.creator_id, b.fan_id, base.* EXCLUDE (creator_id, fan_id)
        FROM batch_frame b LEFT JOIN {base} base USING (creator_id, fan_id)
    """
    seen = facts.running(base, "batch_frame") if running else still
    return f"""
        CREATE TEMP TABLE event AS
            SELECT position, moment, creator_id, fan_id, event_id AS id, name, platform,
                   account_id, campaign_id, message_id, occurred_at, currency, properties,
                   CAST(value_micros AS DOUBLE) / 1000000 AS "value"
            FROM batch_frame ORDER BY position;
        CREATE TEMP TABLE fan AS
            SELECT s.position, f.fan_id IS NOT NULL AS known, s.creator_id, s.fan_id AS id,
                   f.name, f.zone, f.locale, f.birthday,
                   f.tags, f.attributes, f.segments, f.created_at,
                   {facts.columns("s").replace("s.subscribed_at AS", _SUBSCRIBED)}
            FROM ({seen}) AS s LEFT JOIN fans_frame AS f USING (creator_id, fan_id)
            ORDER BY s.position;
    """


_SUBSCRIBED = "coalesce(s.subscribed_at, f.profile_subscribed_at) AS"


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
            FROM event JOIN fan ON fan.position = event.position WHERE {only}
        ) WHERE len(hits) > 0
    """


def _asked(question: Question) -> str:
    if question.event_name is None:
        return question.sql
    return f"event.name = {quote(question.event_name)} AND ({question.sql})"

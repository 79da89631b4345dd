"""Which rules hold for which events: one set-based query for a whole batch.

Belongs here: the query; what is asked is `question`, the tables that it reads are `relations`',
what happens to a question that cannot be asked is `isolation`'s. Rules with the same text are asked
once, however many creators have them.
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import duckdb
import polars as pl

from huntaze_pipeline.rulebook import facts, isolation, prepared, relations
from huntaze_pipeline.rulebook.behaviour import union
from huntaze_pipeline.rulebook.language import quote
from huntaze_pipeline.rulebook.people import People
from huntaze_pipeline.rulebook.question import Question

_CHUNK = 300
"""Questions in one query; more only make its planning slow."""
_KEPT, _PARTS = 3_000, 200
_MANY = 2_000
"""Events of a batch for which it is worth the while to plan anew, for what it holds."""
_SHELF = prepared.Shelf()


@dataclass
class Answers:
    """What a batch of questions came to."""

    hits: dict[int, set[str]] = field(default_factory=dict)
    """By position of the event: the keys of the questions answered with yes."""
    read: Callable[[Collection[int]], dict[int, dict[str, Any]]] = lambda _: {}
    """Looks up the fans at some positions."""
    broken: dict[str, str] = field(default_factory=dict)
    """The keys of the questions that DuckDB could not ask, and what it said; all are a no."""

    @cached_property
    def fans(self) -> dict[int, dict[str, Any]]:
        """The fan's fields as of that event, by position; only where there is a hit and such a fan.

        Read when somebody asks: most hits let nobody in.
        """
        return self.read(self.hits)


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

    def ask(some: Mapping[str, Question]) -> None:
        with _asking(events, fans, some, around or People(fans), running) as asker:
            if asker is not None:
                for position, keys in asker.hits(some).items():
                    found.hits.setdefault(position, set()).update(keys)
                found.read = partial(_fans, asker, events, fans)

    found.broken = isolation.each(ask, questions)
    return found


def _fans(
    asker: "_Asker", events: pl.DataFrame, fans: pl.DataFrame, positions: Collection[int]
) -> dict[int, dict[str, Any]]:
    return relations.fans(asker.bench, events, fans, positions, asker.wanted)


@contextmanager
def _asking(
    events: pl.DataFrame,
    fans: pl.DataFrame,
    questions: Mapping[str, Question],
    around: People,
    running: bool,
) -> Iterator["_Asker | None"]:
    """Give an asker that holds a batch; None when there is nothing to ask."""
    if not questions or events.is_empty():
        yield None
        return
    if "moment" not in events.columns:
        events = events.hstack([events["occurred_at"].alias("moment")])
    features = union(*(question.features for question in questions.values()))
    reads = frozenset[str]().union(*(question.reads for question in questions.values()))
    wanted = relations.Wanted(reads, features, running)
    if len(events) >= _MANY:
        moved = facts.moved(events["name"].unique().to_list())
        asker = _Asker(replace(wanted, moved=moved, many=True), threads=os.cpu_count() or 1)
        relations.fill(asker.bench, events, fans, around, asker.wanted)
        yield asker
        return
    key = (running, features, *events.schema.items(), *fans.schema.items())
    asker = _SHELF.take(key, lambda: _Asker(wanted))
    if asker.full or not reads <= asker.wanted.reads:
        _SHELF.drop(key)
        more = replace(wanted, reads=reads | asker.wanted.reads)
        asker = _SHELF.take(key, lambda: _Asker(more))
    try:
        relations.fill(asker.bench, events, fans, around, asker.wanted)
        yield asker
    except duckdb.Error:
        _SHELF.drop(key)
        raise


def ask(con: duckdb.DuckDBPyConnection, questions: Mapping[str, Question]) -> Answers:
    """Ask every question of the relations `event` and `fan`, one row each per position.

    `fan` has `known` besides the fields: whether there is such a fan.
    """
    keys, hits = _keys(questions), dict[int, set[str]]()
    for part in _parts(keys):
        rows = con.execute(_query(part, "event JOIN fan USING (position)")).fetchnumpy()
        _note(hits, rows, part, keys)
    return Answers(hits, partial(relations.at, con))


class _Asker:
    """Questions that were planned before; a batch asks of them as many as it needs."""

    def __init__(self, wanted: relations.Wanted, threads: int = 1) -> None:
        self.wanted = wanted
        self.bench = prepared.Bench(threads)
        self._parts: list[tuple[Question, ...]] = []
        self._place: dict[Question, int] = {}

    def hits(self, questions: Mapping[str, Question]) -> dict[int, set[str]]:
        """Return the keys of the questions that hold, by position."""
        keys, hits = _keys(questions), dict[int, set[str]]()
        self._plan([one for one in keys if one not in self._place])
        for number in sorted({self._place[one] for one in keys}):
            part = self._parts[number]
            rows = self.bench.ask(number, lambda part=part: self._query(part)).fetchnumpy()
            _note(hits, rows, part, keys)
        return hits

    def _query(self, part: Sequence[Question]) -> str:
        return _query(*_opened(part, relations.source(self.wanted)))

    def _plan(self, new: Sequence[Question]) -> None:
        # Of a small batch all is asked at once: reading it costs more than passing a row over.
        for part in _parts(new) if self.wanted.many else _chunks(new):
            self._place |= dict.fromkeys(part, len(self._parts))
            self._parts.append(part)

    @property
    def full(self) -> bool:
        """Whether so many questions have come and gone that it is better to begin anew."""
        return len(self._place) > _KEPT or len(self._parts) > _PARTS


def _parts(questions: Iterable[Question]) -> Iterator[tuple[Question, ...]]:
    """Put together what is asked of the same events: no row is asked what it cannot answer."""
    named: dict[str | None, list[Question]] = {}
    for one in questions:
        named.setdefault(one.event_name, []).append(one)
    for same in named.values():
        yield from _chunks(same)


def _chunks(questions: Sequence[Question]) -> Iterator[tuple[Question, ...]]:
    for start in range(0, len(questions), _CHUNK):
        yield tuple(questions[start : start + _CHUNK])


def _query(part: Sequence[Question], source: str) -> str:
    """Return the query that gives, per position, a column of yes and no for each question."""
    names = {question.event_name for question in part}
    same = len(names) == 1
    asked = ", ".join(f"{_asked(one, same)} AS h{i}" for i, one in enumerate(part))
    name = part[0].event_name
    only = f" WHERE event.name = {quote(name)}" if same and name is not None else ""
    return f"SELECT position, {asked} FROM {source}{relations.joins(asked)}{only}"


def _opened(part: Sequence[Question], source: str) -> tuple[list[Question], str]:
    """Work out once what costs most in many questions, such as taking a value out of JSON."""
    taken = dict.fromkeys(call for one in part for call in one.taken)
    if not taken:
        return list(part), source
    names = {call: f"taken_{i}" for i, call in enumerate(taken)}
    also = ", ".join(f"{call} AS {name}" for call, name in names.items())
    return [_renamed(one, names) for one in part], f"(SELECT *, {also} FROM {source}) AS seen"


def _renamed(question: Question, names: Mapping[str, str]) -> Question:
    sql = question.sql
    for call in question.taken:  # within a text its quotes are doubled, so none is found there
        sql = sql.replace(call, names[call])
    return replace(question, sql=sql)


def _asked(question: Question, same: bool) -> str:
    """Return a question; among others it is not asked of events with another name.

    As a case: a part is asked only where the others may still hold, and the answer is never null.
    """
    named = question.event_name if not same else None
    only = f"event.name = {quote(named)} AND " if named is not None else ""
    return f"CASE WHEN {only}{question.sql} THEN TRUE ELSE FALSE END"


def _keys(questions: Mapping[str, Question]) -> dict[Question, list[str]]:
    """Return the keys under which each question is asked, perhaps several."""
    keys: dict[Question, list[str]] = {}
    for key, question in questions.items():
        keys.setdefault(question, []).append(key)
    return keys


def _note(
    hits: dict[int, set[str]],
    rows: Mapping[str, Any],
    part: Sequence[Question],
    keys: Mapping[Question, Sequence[str]],
) -> None:
    """Put down which questions of a part hold where."""
    positions = rows["position"]
    for i, question in enumerate(part):
        if question not in keys:
            continue
        names = keys[question]
        for position in positions[rows[f"h{i}"]].tolist():
            hits.setdefault(position, set()).update(names)

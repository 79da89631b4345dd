"""An automation over the past: the live planner, conditions and gates, each moment's own facts.

Belongs here: who would have entered and what would have been decided. What it would have meant
(messages a day, queues, what those fans bought) is `meaning`'s, how it is shown `showing`'s.
"""

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import polars as pl

from huntaze_pipeline.rehearsal import gatekeeper
from huntaze_pipeline.rehearsal.passing import ENTRY, NOBODY, Passing
from huntaze_pipeline.rehearsal.past import Past, instant, listed
from huntaze_pipeline.rehearsal.reading import Reading, early
from huntaze_pipeline.rulebook import (
    behaviour,
    entries,
    matching,
    people,
    planner,
    relations,
)
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.rulebook.language import quote
from huntaze_pipeline.rulebook.live import LiveAutomation
from huntaze_pipeline.rulebook.policies import Policies
from huntaze_pipeline.rulebook.question import Question, triggered


@dataclass
class Trial:
    """What a rule would have done in a period."""

    since: datetime
    until: datetime
    events: int = 0
    """Events of the trigger's name, platform and properties, and of what the conditions say of
    the event alone."""
    matched: int = 0
    """Of those, events for which the conditions hold."""
    executions: list[dict[str, Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    effects: list[dict[str, Any]] = field(default_factory=list)
    """What it would have done besides messages; nothing of it is seen by later steps."""
    decisions: list[Decision] = field(default_factory=list)
    """In the order of their moments, after the gates."""


def automation(
    past: Past,
    rules: Sequence[LiveAutomation],
    policies: Policies,
    since: datetime,
    until: datetime,
    entered: Mapping[entries.Passage, list[entries.Entry]] | None = None,
    *,
    clock: Mapping[tuple[str, int], datetime] | None = None,
    decided: Mapping[str, datetime] | None = None,
    in_force: Callable[[datetime], Policies] | None = None,
) -> Trial:
    """Run one automation over what became known from `since` to before `until`.

    Args:
        past: the creators whose past it is.
        rules: the same rule, once for each creator.
        policies: what holds for every message.
        since: aware UTC.
        until: aware UTC; steps that would have come due later stay waiting.
        entered: entries from before the period, of a rule that was live then.
        clock: when live took steps, by execution and turn: a replay takes them then.
        decided: when live decided messages, by id: a replay judges them then, and what live sent
            counts as it went.
        in_force: the policies of a moment, by which a replay judges; None: `policies`.
    """
    trial = Trial(since, until)
    reading = Reading.of(rules[0].rule, rules[0].templates)
    past.open(until)
    found = _matched(past, rules[0], reading, trial)
    if found.is_empty():
        return trial
    context = planner.Context(addressed(past), policies, entered or {}, answers=_ask(past, reading))
    plan = planner.plan(found, NOBODY, rules, context, since)
    passing = Passing(past, rules, context, until, clock or {})
    inside = {row["event_id"] for row in plan.executions}
    entering = found.filter(pl.col("event_id").is_in(inside))
    passing.run(plan, entering.iter_rows(named=True))
    trial.executions, trial.steps = plan.executions, passing.steps
    trial.effects = passing.effects
    trial.decisions = passing.decisions
    if decided:
        trial.decisions = [
            replace(d, decided_at=decided.get(d.message_id, d.decided_at))
            for d in passing.decisions
        ]
    imported = _imported(trial, found)
    trial.decisions = gatekeeper.screen(
        past, trial.decisions, policies, imported=imported,
        instead_of=None if decided else ("automation", rules[0].id), in_force=in_force,
    )  # fmt: skip
    return trial


@contextmanager
def uncollected() -> Iterator[None]:
    """Hold the garbage collector back: rows by the hundred thousand, none of them in a circle.

    It would walk all of them again and again, for a third of a backtest's time.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _matched(past: Past, live: LiveAutomation, reading: Reading, trial: Trial) -> pl.DataFrame:
    """Return the events for which the automation's conditions hold, in order of arrival."""
    con, rule = past.con, live.rule
    con.execute(
        "create or replace temp table candidate as select tie as position,"
        " event.* exclude (id, value) from (select *, event_id as id, occurred_at as moment,"
        ' cast(value_micros as double) / 1000000 as "value" from past_events) as event'
        f" where event.name = {quote(rule.trigger.event)}"
        f" and event.seen_at >= {instant(trial.since)} and {early(rule)}"
    )
    trial.events = _count(past, "candidate")
    past.number("candidate")
    past.remember(reading.fields, bought=True)
    con.execute(
        "create or replace temp table coded as select c.position, c.creator_id, c.fan_id,"
        " c.seen_at, c.tie, c.moment, c.imported, who.num"
        " from candidate c join who using (creator_id, fan_id)"
    )
    question = triggered(rule)
    past.relate("coded", reading.asked, reading.segments, question.features, events="candidate")
    con.execute(
        "create or replace temp table hit as select"
        " row_number() over (order by c.seen_at, c.tie) - 1 as position, c.* exclude (position),"
        " c.seen_at as now from candidate c"
        " join event using (position) join fan using (position)"
        f"{relations.joins(question.sql)} where {question.sql}"
    )
    trial.matched = _count(past, "hit")
    con.execute("drop table candidate; drop view event; drop table coded; drop table fan")
    if not trial.matched:
        return pl.DataFrame(schema=ENTRY)
    past.keep("hit")
    found = con.execute("from hit order by position").pl()
    return found.select(pl.col(name).cast(kind) for name, kind in ENTRY.items())


def _count(past: Past, table: str) -> int:
    row = past.con.execute(f"select count(*) from {table}").fetchone()
    return int(row[0]) if row else 0


def _ask(past: Past, reading: Reading) -> Callable[..., matching.Answers]:
    """Answer the planner's questions from the past instead of from a batch and a state."""

    def ask(
        events: pl.DataFrame,
        _: pl.DataFrame,
        questions: Mapping[str, Question],
        around: people.People | None = None,
        *,
        running: bool = True,
    ) -> matching.Answers:
        if not questions or events.is_empty():
            return matching.Answers()
        past.con.register("asked_frame", events.to_arrow())
        past.con.execute(
            "create or replace temp table asked as select a.*, who.num from asked_frame a"
            " join who using (creator_id, fan_id)"
        )
        past.con.unregister("asked_frame")
        features = behaviour.union(*(question.features for question in questions.values()))
        past.relate("asked", reading.fields, reading.segments, features)
        return matching.ask(past.con, questions)

    return ask


def addressed(past: Past) -> people.People:
    """Return the addresses of the numbered fans and what messages say of their creators."""
    rows = past.con.execute(
        "select i.creator_id, i.fan_id, i.platform, i.account_id, i.address, i.normalised,"
        f" i.last_inbound_at from {past.table('identities')} i semi join who"
        " on who.creator_id = i.creator_id and who.fan_id = i.fan_id"
        " order by i.creator_id, i.fan_id, i.platform"
    ).fetchall()
    found = people.People(pl.DataFrame(schema=people.PROFILES))
    for creator, fan, *address in rows:
        found.addresses.setdefault((creator, fan), []).append(people.Address(*address))
    creators = past.con.execute(
        f"select id, name, zone, currency from {past.table('creators')}"
    ).pl()
    found.creators = {row["id"]: row for row in creators.iter_rows(named=True)}
    return found


def _imported(trial: Trial, found: pl.DataFrame) -> set[str]:
    """The ids of messages that go back to an event of a file."""
    events = set(found.filter(pl.col("imported"))["event_id"])
    passages = {row["id"] for row in trial.executions if row["event_id"] in events}
    return {
        step["message_id"]
        for step in trial.steps
        if step["message_id"] and step["execution_id"] in passages
    }


def creators(past: Past, names: Iterable[str] | None) -> list[str]:
    """Return the creators there are, of some names or of all."""
    only = "" if names is None else f" where id in ({listed(names)})"
    rows = past.con.execute(f"select id from {past.tables.prefix}creators{only} order by id")
    return [row[0] for row in rows.fetchall()]


def entered(
    past: Past, rules: Sequence[LiveAutomation], since: datetime
) -> dict[entries.Passage, list[entries.Entry]]:
    """Return the real entries of events known before the period, of a rule that was live then."""
    rows = past.con.execute(
        "select e.creator_id, e.automation_id, e.fan_id, e.entry_key, e.entered_at, e.event_id,"
        f" e.state = 'exited' from {past.table('executions')} e"
        f" left join {past.table('inbox')} i on i.creator_id = e.creator_id"
        " and i.event_id = e.event_id where e.automation_id = $rule and e.entered_at < $since"
        " and coalesce(i.received_at, e.entered_at) < $since order by e.entered_at, e.id",
        {"rule": rules[0].id, "since": since},
    ).fetchall()
    found: dict[entries.Passage, list[entries.Entry]] = {}
    for creator, automation_id, fan, *entry in rows:
        found.setdefault((creator, automation_id, fan), []).append(entries.Entry(*entry))
    return found

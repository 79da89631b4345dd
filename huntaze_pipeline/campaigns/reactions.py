"""Automations, live: one batch of events or of due steps, from reading to the rows.

The impure edge around the pure planner. Returns the decisions; the caller records them
(`delivery.outbox.record`) in the same transaction.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import duckdb
import polars as pl
from sqlalchemy import Connection

from huntaze_pipeline.campaigns import gates
from huntaze_pipeline.errors import Problem
from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.events.inbox import Arrived, Position
from huntaze_pipeline.rulebook import conduct, ledger, live, people, planner, resumption, tally
from huntaze_pipeline.rulebook.conditions import Condition
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.rulebook.people import Key
from huntaze_pipeline.rulebook.policies import Policies
from huntaze_pipeline.warehouse import lake as lakes


@dataclass(frozen=True)
class Reaction:
    """What came of a batch."""

    entered: int
    """Fans who entered an automation (entries that were known before included)."""
    steps: int
    decisions: list[Decision]
    faults: list[Problem] = field(default_factory=list)
    """Live rules that cannot be read or asked; they did not react."""


def react(
    connection: Connection,
    lake: duckdb.DuckDBPyConnection | None,
    events: Sequence[Event],
    policies: Policies,
    now: datetime,
    snapshot: int | None = None,
) -> Reaction:
    """Let the active automations react to events, in their order, and store what they do.

    Args:
        connection: PostgreSQL.
        lake: the lake; None when there is none. It stands `still` meanwhile.
        events: the batch.
        policies: the policies in force.
        now: the tick's instant.
        snapshot: where the lake stands.
    """
    faults: list[Problem] = []
    creators = {event.creator_id for event in events}
    automations = live.automations(connection, creators, faults, hold=True)
    resting = _resting(connection, events)
    keys = _concerned(events, automations, resting)
    if not keys:
        return Reaction(0, 0, [], faults)
    names = ((one.creator_id, one.automation_id, one.rule_hash) for one in resting)
    before = _versions(connection, automations, names, faults)
    asked = live.asked((*automations, *before.values()))
    # Facts of these fans are built from their whole batch, also from events that trigger nothing.
    batch = [event for event in events if (event.creator_id, event.fan_id) in keys]
    kept, besides = _facts(connection, keys, batch, asked, snapshot, upto=events[-1])
    known = people.load_fans(connection, lake, keys, besides=besides, kept=kept)
    entered = ledger.entered(
        connection, keys, automations, min(event.occurred_at for event in batch)
    )
    context = planner.Context(known, policies, entered, snapshot, resting, before)
    frame = people.frame(batch)
    conduct.add(known, connection, lake, frame, asked, besides=besides)
    plan = planner.plan(frame, known.fans, automations, context, now)
    return _store(connection, plan, policies, now, faults)


def wake(
    connection: Connection,
    lake: duckdb.DuckDBPyConnection | None,
    policies: Policies,
    now: datetime,
    limit: int = 1000,
) -> Reaction:
    """Take the steps that have come due and store what comes of them."""
    creators = ledger.due_creators(connection, now, limit)
    if not creators:
        return Reaction(0, 0, [])
    faults: list[Problem] = []
    broken: set[Key] = set()
    # Before the steps: whoever pauses or cancels asks for the same lock first.
    automations = live.automations(connection, creators, faults, hold=True, broken=broken)
    steps = ledger.due_steps(connection, now, limit, creators)
    if steps.is_empty():
        return Reaction(0, 0, [], faults)
    before = _versions(
        connection, automations, _rows(steps, "creator_id", "automation_id", "rule_hash"), faults
    )
    with lakes.still(lake) as snapshot:
        keys = set(_rows(steps, "creator_id", "fan_id"))
        known = people.load_fans(connection, lake, keys, kept=_kept(connection, snapshot, keys))
        context = planner.Context(
            known, policies, snapshot_id=snapshot, versions=before, broken=broken
        )
        conduct.add(known, connection, lake, steps, live.asked((*automations, *before.values())))
        plan = resumption.resume(steps, known.fans, automations, context, now)
        return _store(connection, plan, policies, now, faults)


def _resting(connection: Connection, events: Sequence[Event]) -> tuple[ledger.Open, ...]:
    """Return the passages of these fans that wait for such events."""
    everyone = {(event.creator_id, event.fan_id) for event in events}
    return ledger.resting(connection, everyone, {event.name for event in events})


def _concerned(
    events: Sequence[Event],
    automations: Iterable[live.LiveAutomation],
    resting: Iterable[ledger.Open],
) -> set[Key]:
    """Return the fans whose events trigger an automation, or who wait for one."""
    triggers = {automation.rule.trigger.event for automation in automations}
    keys = {(event.creator_id, event.fan_id) for event in events if event.name in triggers}
    return keys | {(one.creator_id, one.fan_id) for one in resting}


def _facts(
    connection: Connection,
    keys: Collection[Key],
    batch: Sequence[Event],
    asked: Iterable[Condition],
    snapshot: int | None,
    *,
    upto: Event,
) -> tuple[tally.Kept | None, list[str]]:
    """Return what is kept of these fans' facts, and the events that are left out of the others.

    A fact is as it was before the batch: where it is counted, the batch and what lies behind it are
    left out.
    """
    ids = [event.event_id for event in batch]
    if not isinstance(upto, Arrived):
        return None, ids
    kept = _kept(connection, snapshot, keys, upto.position)
    if kept is None or kept.odd or any(condition.features for condition in asked):
        ids += people.unread(connection, keys, upto.position)
    return kept, ids


def _versions(
    connection: Connection,
    automations: Iterable[live.LiveAutomation],
    names: Iterable[live.Version],
    faults: list[Problem],
) -> dict[live.Version, live.LiveAutomation]:
    """Read the versions that are not live any more."""
    now = {(a.creator_id, a.id, a.rule_hash) for a in automations}
    return live.versions(connection, set(names) - now, faults)


def _kept(
    connection: Connection,
    snapshot: int | None,
    keys: Collection[Key],
    upto: Position | None = None,
) -> tally.Kept | None:
    """Return the facts that are kept by key; None when they are not those of this lake."""
    return None if snapshot is None else tally.read(connection, snapshot, keys, upto)


def _rows(frame: pl.DataFrame, *names: str) -> Iterator[tuple[Any, ...]]:
    return zip(*(frame[name].to_list() for name in names), strict=True)


def _store(
    connection: Connection,
    plan: planner.Plan,
    policies: Policies,
    now: datetime,
    faults: list[Problem],
) -> Reaction:
    """Apply the gates, note their answers on the steps, and write."""
    plan.decisions = gates.screen(connection, plan.decisions, policies, now)
    judged = {decision.message_id: decision for decision in plan.decisions}
    for step in plan.steps:
        decision = judged.get(step["message_id"] or "")
        if decision is not None and decision.state == "skipped":
            step |= {"state": "skipped", "reason": decision.reason}
    ledger.store_plan(connection, plan, now)
    return Reaction(len(plan.executions), len(plan.steps), plan.decisions, [*faults, *plan.faults])

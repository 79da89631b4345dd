"""Automations, live: one batch of events or of due steps, from reading to the rows.

The impure edge around the pure planner. Returns the decisions; the caller records them
(`delivery.outbox.record`) in the same transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import duckdb
from sqlalchemy import Connection

from huntaze_pipeline.campaigns import gates
from huntaze_pipeline.errors import Problem
from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.rulebook import ledger, live, people, planner
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.rulebook.policies import Policies


@dataclass(frozen=True)
class Reaction:
    """What came of a batch."""

    entered: int
    """Fans who entered an automation (entries that were known before included)."""
    steps: int
    decisions: list[Decision]
    faults: list[Problem] = field(default_factory=list)
    """Live rules that cannot be read; they did not react."""


def react(
    connection: Connection,
    lake: duckdb.DuckDBPyConnection | None,
    events: Sequence[Event],
    policies: Policies,
    now: datetime,
) -> Reaction:
    """Let the active automations react to events, in their order, and store what they do."""
    faults: list[Problem] = []
    automations = live.automations(connection, {event.creator_id for event in events}, faults)
    names = {automation.rule.trigger.event for automation in automations}
    wanted = [event for event in events if event.name in names]
    if not wanted:
        return Reaction(0, 0, [], faults)
    keys = {(event.creator_id, event.fan_id) for event in wanted}
    # Facts of these fans are built from their whole batch, also from events that trigger nothing.
    batch = [event for event in events if (event.creator_id, event.fan_id) in keys]
    ids = [event.event_id for event in batch]
    known = people.load_fans(connection, lake, keys, besides=ids)
    context = planner.Context(known, policies, ledger.entered(connection, keys))
    plan = planner.plan(people.frame(batch), known.fans, automations, context, now)
    return _store(connection, plan, policies, now, faults)


def wake(
    connection: Connection,
    lake: duckdb.DuckDBPyConnection | None,
    policies: Policies,
    now: datetime,
    limit: int = 1000,
) -> Reaction:
    """Take the steps that have come due and store what comes of them."""
    steps = ledger.due_steps(connection, now, limit)
    if steps.is_empty():
        return Reaction(0, 0, [])
    faults: list[Problem] = []
    automations = live.automations(connection, steps["creator_id"].unique().to_list(), faults)
    keys = set(zip(steps["creator_id"].to_list(), steps["fan_id"].to_list(), strict=True))
    known = people.load_fans(connection, lake, keys)
    context = planner.Context(known, policies)
    plan = planner.resume(steps, known.fans, automations, context, now)
    return _store(connection, plan, policies, now, faults)


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
    return Reaction(len(plan.executions), len(plan.steps), plan.decisions, faults)

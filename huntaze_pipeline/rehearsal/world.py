"""A world in memory around the live planner and the live gates: weeks pass in milliseconds.

Belongs here: what exists, and moving its clock. Nothing here decides; the same `planner`, `gates`
and `facts` as in production do. Building a world from a test is `scene`'s, comparing `verdict`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from huntaze_pipeline.campaigns import gates
from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.rehearsal import knowledge, outcome
from huntaze_pipeline.rehearsal.cast import CREATOR, Actor, known
from huntaze_pipeline.rehearsal.outcome import Outcome
from huntaze_pipeline.rulebook import entries, ledger, matching, people, planner
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.rulebook.live import LiveAutomation
from huntaze_pipeline.rulebook.people import People
from huntaze_pipeline.rulebook.policies import Policies
from huntaze_pipeline.rulebook.schema import Segment


@dataclass
class World:
    """Everything that a live system would know, and the story so far."""

    now: datetime
    creator: dict[str, Any]
    actors: dict[str, Actor]
    policies: Policies
    automations: Sequence[LiveAutomation]
    segments: dict[str, Segment] = field(default_factory=dict)
    watched: Sequence[str] = ()
    """The segments that are evaluated every hour."""
    log: list[Event] = field(default_factory=list)
    entered: dict[entries.Passage, list[entries.Entry]] = field(default_factory=dict)
    executions: dict[str, dict[str, Any]] = field(default_factory=dict)
    steps: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    contacts: dict[tuple[str, str], dict[str, datetime]] = field(default_factory=dict)
    leaving: list[Decision] = field(default_factory=list)
    """Messages that are decided and not yet gone."""
    story: list[Outcome] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Fill the segments that are watched; the first evaluation tells nobody."""
        self.epoch = self.now
        fans = self.fans() if self.watched else pl.DataFrame()
        for _, members in knowledge.members(fans, self.segments, self.watched, [self.now]):
            self._settle(members)

    def react(self, event: Event) -> None:
        """Let an event happen now; the automations react to it."""
        if any(known.event_id == event.event_id for known in self.log):
            return
        actor = self.actors.get(event.fan_id)
        if actor is not None and event.platform:
            actor.happens(event.name, event.platform, self.now)
        if any(a.rule.trigger.event == event.name for a in self.automations):
            context = planner.Context(self._people(), self.policies, self.entered)
            plan = planner.plan(
                people.frame([event]), context.people.fans, self.automations, context, self.now
            )
            self._refusals(event, plan, context.people.fans)
            self.log.append(event)
            self._keep(plan, event)
        else:
            self.log.append(event)

    def advance(self, until: datetime) -> None:
        """Let time pass up to an instant: steps come due, messages leave, segments change."""
        while True:
            moment = self._next(until)
            target = until if moment is None else moment
            if self._refresh(target) is not None:
                continue
            self.now = max(self.now, target)
            if moment is None:
                return
            self._deliver()
            self._wake()

    def pending(self) -> datetime | None:
        """Return the next instant at which something is due by itself, or None."""
        waiting = [row["due_at"] for row in self.steps.values() if row["state"] == "waiting"]
        return min([*waiting, *(d.not_before for d in self.leaving)], default=None)

    def _next(self, until: datetime) -> datetime | None:
        due = self.pending()
        return max(due, self.now) if due is not None and due <= until else None

    def _wake(self) -> None:
        due = [row for row in self.steps.values()
               if row["state"] == "waiting" and row["due_at"] <= self.now]  # fmt: skip
        if due:
            context = planner.Context(self._people(), self.policies)
            due.sort(key=lambda row: (row["due_at"], row["execution_id"], row["position"]))
            frame = pl.DataFrame(
                [self._due(i, row) for i, row in enumerate(due)], schema=ledger.DUE
            )
            fans = context.people.fans
            self._keep(planner.resume(frame, fans, self.automations, context, self.now), None)

    def _due(self, place: int, row: dict[str, Any]) -> dict[str, Any]:
        """Return a waiting step with its event, as `ledger.due_steps` reads it."""
        owner = self.executions[row["execution_id"]]
        event = next(e for e in self.log if e.event_id == owner["event_id"])
        about = people.frame([event]).row(0, named=True)
        more = {
            "position": place, "moment": row["due_at"], "execution_id": row["execution_id"],
            "automation_id": owner["automation_id"], "entry_key": owner["entry_key"],
            "step": row["position"],
        }  # fmt: skip
        return {name: (about | more)[name] for name in ledger.DUE}

    def _keep(self, plan: planner.Plan, event: Event | None) -> None:
        """Do with a plan what `reactions` and `ledger` do in PostgreSQL."""
        judged = self._judged(plan.decisions)
        for row in plan.executions:
            self.executions.setdefault(row["id"], dict(row))
            self.story.append(Outcome("enter", self.now, row["fan_id"], row["automation_id"]))
        for row in plan.steps:
            decision = judged.get(row["message_id"] or "")
            if decision is not None and decision.state == "skipped":
                row |= {"state": "skipped", "reason": decision.reason}
            self.steps[row["execution_id"], row["position"]] = row
        self.story += outcome.of_steps(plan.steps, self.executions, self.now)
        self.story += [outcome.message(decision, self.now) for decision in judged.values()]
        self.leaving += [d for d in judged.values() if d.state == "decided"]
        for row in plan.executions:
            self._enter(row)
        for name in dict.fromkeys(row["execution_id"] for row in plan.steps):
            self._close(name)
        self._deliver()

    def _judged(self, decisions: Sequence[Decision]) -> dict[str, Decision]:
        open_ones = [d for d in decisions if d.state == "decided"]
        facts_ = {i: known(d, self.actors, self.creator) for i, d in enumerate(open_ones)}
        found = gates.decide(decisions, facts_, self.contacts, self.policies, self.now)
        return {decision.message_id: decision for decision in found}

    def _enter(self, row: dict[str, Any]) -> None:
        key = (CREATOR, row["automation_id"], row["fan_id"])
        entry = entries.Entry(row["entry_key"], row["entered_at"], row["event_id"])
        self.entered.setdefault(key, []).append(entry)

    def _close(self, name: str) -> None:
        """End an execution whose steps are all over, as `ledger` does."""
        owner = self.executions[name]
        steps = sorted((k[1], row) for k, row in self.steps.items() if k[0] == name)
        rows = [row for _, row in steps]
        if owner["state"] != "active" or any(row["state"] == "waiting" for row in rows):
            return
        told = [row for row in rows if row["message_id"]]
        unreached = bool(told) and all(
            row["state"] == "skipped" and row["reason"] in entries.UNREACHED for row in told
        )
        stopped = any(row["state"] == "cancelled" for row in rows)
        owner["state"] = "exited" if unreached else "cancelled" if stopped else "completed"
        kind = "exit" if unreached else "cancel" if stopped else "complete"
        about = (self.now, owner["fan_id"], owner["automation_id"])
        if unreached:
            key = (CREATOR, owner["automation_id"], owner["fan_id"])
            self.entered[key] = [
                e._replace(exited=True) if e.key == owner["entry_key"] else e
                for e in self.entered[key]
            ]
        if kind != "cancel":
            reason = told[0]["reason"] if unreached else None
            self.story.append(Outcome(kind, *about, detail={"reason": reason}))

    def _deliver(self) -> None:
        """Let the messages go whose time has come; each is an event, as the sender writes it."""
        gone = [d for d in self.leaving if d.not_before <= self.now]
        self.leaving = [d for d in self.leaving if d.not_before > self.now]
        for decision in gone:
            self.react(_sent(decision, self.now))

    def _refusals(self, event: Event, plan: planner.Plan, fans: pl.DataFrame) -> None:
        """Note which automations the event was for and who did not enter, and why."""
        frame = people.frame([event])
        inside = {execution["automation_id"] for execution in plan.executions}
        for automation in self.automations:
            if automation.id in inside or not _concerns(automation, event):
                continue
            row = frame.row(0, named=True)
            refused = entries.Memory(self.entered).enter(automation, row) is None
            why = "entry" if refused and _holds(automation, frame, fans) else "conditions"
            detail = {"reason": why}
            self.story.append(Outcome("out", self.now, event.fan_id, automation.id, None, detail))

    def _refresh(self, until: datetime) -> datetime | None:
        """Move the segments on; stop at the first hour that brings a change and say which."""
        if not self.watched:
            return None
        passed = (self.now - self.epoch) // knowledge.EVERY * knowledge.EVERY
        moments = knowledge.hours(self.epoch + passed, until)
        for moment, members in knowledge.members(self.fans(), self.segments, self.watched, moments):
            changes = self._changes(members)
            if changes:
                self.now = moment
                self._settle(members)
                for name, segment, fan in changes:
                    detail = {"segment": segment, "change": name}
                    self.story.append(Outcome("member", moment, fan, segment, None, detail))
                    self.react(_change(name, segment, fan, moment))
                return moment
        return None

    def _changes(self, members: dict[str, set[str]]) -> list[tuple[str, str, str]]:
        free = [actor for actor in self.actors.values() if not actor.fixed]
        return [
            ("entered_segment" if actor.id in inside else "left_segment", segment, actor.id)
            for segment, inside in members.items()
            for actor in free
            if (actor.id in inside) != (segment in actor.segments)
        ]

    def _settle(self, members: dict[str, set[str]]) -> None:
        for actor in self.actors.values():
            if not actor.fixed:
                actor.segments = {name for name, inside in members.items() if actor.id in inside}

    def fans(self) -> pl.DataFrame:
        """Return the fans with the facts of all that has happened."""
        profiles = pl.DataFrame(
            [actor.profile(self.epoch) for actor in self.actors.values()], schema=people.PROFILES
        )
        return knowledge.fans(profiles, self.log)

    def _people(self) -> People:
        addresses = {(CREATOR, name): actor.addresses() for name, actor in self.actors.items()}
        return People(self.fans(), addresses, {CREATOR: self.creator})


def _concerns(automation: LiveAutomation, event: Event) -> bool:
    trigger = automation.rule.trigger
    return (
        automation.rule.active
        and trigger.event == event.name
        and (not trigger.platform or event.platform in trigger.platform)
        and all(str(event.properties.get(k)) == str(v) for k, v in trigger.properties.items())
    )


def _holds(automation: LiveAutomation, frame: pl.DataFrame, fans: pl.DataFrame) -> bool:
    """Say whether the conditions hold; the planner asks them before the entry."""
    if not automation.rule.conditions:
        return True
    questions = {automation.id: matching.triggered(automation.rule)}
    return bool(matching.answers(frame, fans, questions).hits)


def _sent(decision: Decision, at: datetime) -> Event:
    return Event(
        creator_id=CREATOR, event_id=f"sent:{decision.message_id}", name="sent",
        fan_id=decision.fan_id, occurred_at=at, source="sender", platform=decision.platform,
        account_id=decision.account_id, message_id=decision.message_id,
        properties={"automation": decision.source_id, "template": decision.template_id},
    )  # fmt: skip


def _change(name: str, segment: str, fan: str, at: datetime) -> Event:
    return Event(
        creator_id=CREATOR, event_id=f"segment:{segment}:{fan}:{name}:{at.isoformat()}", name=name,
        fan_id=fan, occurred_at=at, source="rule", properties={"segment": segment},
    )  # fmt: skip

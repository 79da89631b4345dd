"""A world in memory around the live planner and the live gates: weeks pass in milliseconds.

Belongs here: what exists, and moving its clock. Nothing here decides; the same `planner`, `gates`
and `facts` as in production do. Building a world from a test is `scene`'s, comparing `verdict`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import polars as pl

from huntaze_pipeline.campaigns import gates
from huntaze_pipeline.campaigns.recipients import Member, joined
from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.rehearsal import deeds, knowledge, outcome, traces
from huntaze_pipeline.rehearsal.broadcast import Broadcast
from huntaze_pipeline.rehearsal.cast import CREATOR, Actor, known
from huntaze_pipeline.rehearsal.chimes import Clocks
from huntaze_pipeline.rehearsal.outcome import Outcome
from huntaze_pipeline.rehearsal.records import Records
from huntaze_pipeline.rulebook import entries, matching, people, planner, resumption
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.rulebook.live import LiveAutomation
from huntaze_pipeline.rulebook.passage import Plan
from huntaze_pipeline.rulebook.people import People
from huntaze_pipeline.rulebook.policies import Policies
from huntaze_pipeline.rulebook.question import triggered
from huntaze_pipeline.rulebook.schema import Segment


@dataclass
class World:
    """Everything that a live system would know, and the story so far."""

    now: datetime
    creator: dict[str, Any]
    actors: dict[str, Actor]
    policies: Policies
    automations: Sequence[LiveAutomation]
    broadcasts: Sequence[Broadcast] = ()
    """The campaigns that have been started."""
    segments: dict[str, Segment] = field(default_factory=dict)
    watched: Sequence[str] = ()
    """The segments that are evaluated every hour."""
    log: list[Event] = field(default_factory=list)
    records: Records = field(default_factory=Records)
    contacts: dict[tuple[str, str], dict[str, datetime]] = field(default_factory=dict)
    leaving: list[Decision] = field(default_factory=list)
    """Messages that are decided and not yet gone."""
    story: list[Outcome] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Fill the segments that are watched; the first evaluation tells nobody."""
        self.epoch = self.rung = self.now
        self.clocks = Clocks(self.automations, self.creator["zone"], self.now)
        for members in self.members(self.watched, [self.now]).values():
            self._settle(members)

    def react(self, event: Event) -> None:
        """Let an event happen now; the automations react to it."""
        if any(known.event_id == event.event_id for known in self.log):
            return
        actor = self.actors.get(event.fan_id)
        if actor is not None and event.platform:
            actor.happens(event.name, event.platform, self.now)
        resting = self.records.resting(event.fan_id, event.name)
        if not resting and all(a.rule.trigger.event != event.name for a in self.automations):
            self.log.append(event)
            return
        context = planner.Context(self._people(), self.policies, self.records.entered, open=resting)
        fans = context.people.fans
        plan = planner.plan(people.frame([event]), fans, self.automations, context, self.now)
        self._refusals(event, plan, context.people)
        self.log.append(event)
        self._keep(plan)

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
            self._ring()
            self._wake()
            self._launch()

    def pending(self) -> datetime | None:
        """Return the next instant at which something is due by itself, or None."""
        waiting = [row["due_at"] for row in self.records.waiting()[:1]]
        silences = self.clocks.silences(self.actors, self.log, self.rung)
        first = [b.due for b in self.broadcasts if b.due is not None and not b.begun]
        leaving = (decision.not_before for decision in self.leaving)
        return min([*waiting, *silences, *first, *leaving], default=None)

    def _next(self, until: datetime) -> datetime | None:
        chimes = self.clocks.upcoming(self.actors, self.log, self.rung)
        again = (broadcast.due for broadcast in self.broadcasts)
        found = [self.pending(), *(chime.at for chime in chimes), *again]
        due = min((at for at in found if at is not None), default=None)
        return max(due, self.now) if due is not None and due <= until else None

    def _ring(self) -> None:
        """Let what the clocks say by now happen, to members only where a trigger says so."""
        chimes = list(self.clocks.upcoming(self.actors, self.log, self.rung))
        self.rung = self.now
        for chime in sorted(chimes, key=lambda chime: (chime.at, chime.fan)):
            segment = chime.trigger.segment
            inside = segment is None or segment in self.actors[chime.fan].segments
            if chime.at <= self.now and inside:
                self.react(chime.event())

    def _wake(self) -> None:
        due = self.records.due(self.now, self.log)
        if not due.is_empty():
            context = planner.Context(self._people(), self.policies)
            fans = context.people.fans
            self._keep(resumption.resume(due, fans, self.automations, context, self.now))

    def _launch(self) -> None:
        """Decide the campaigns whose time has come, as the tick does."""
        for broadcast in self.broadcasts:
            if broadcast.due is None or broadcast.due > self.now:
                continue
            found = broadcast.come(self._members(), self.policies, self.now)
            self.story += outcome.outside(broadcast.campaign.id, found.outside, self.now)
            broadcast.note(self._planned(found.decisions))

    def settle(self, campaign: str | None, arm: str | None) -> None:
        """End a campaign's test now: whoever waited gets this arm, or nothing (None)."""
        for broadcast in self.broadcasts:
            if campaign in (None, broadcast.campaign.id):
                waiting = broadcast.settled(arm, self._members(), self.policies, self.now)
                self._planned(waiting)

    def _planned(self, decisions: Sequence[Decision]) -> list[Decision]:
        """Pass a campaign's decisions through the gates, tell them, and let go what goes now."""
        judged = list(self._judged(decisions).values())
        self.story += [outcome.planned(decision, self.now) for decision in judged]
        self.leaving += [decision for decision in judged if decision.state == "decided"]
        self._deliver()
        return judged

    def _members(self) -> list[tuple[Member, set[str]]]:
        """Return everybody with their segments, as a campaign's audience is chosen from."""
        known = self._people()
        found = []
        for row in known.fans.sort("fan_id").iter_rows(named=True):
            fan = row["fan_id"]
            about = joined({**row, "subscribed_at": row["profile_subscribed_at"]}, row)
            member = Member(fan, about, known.addresses[CREATOR, fan])
            found.append((member, self.actors[fan].segments))
        return found

    def _keep(self, plan: Plan) -> None:
        """Do with a plan what `reactions`, `ledger` and `effects` do in PostgreSQL."""
        judged = self._judged(plan.decisions)
        for row in plan.steps:
            decision = judged.get(row["message_id"] or "")
            if decision is not None and decision.state == "skipped":
                row |= {"state": "skipped", "reason": decision.reason}
        ended = self.records.keep(plan, self.now)
        self.story += outcome.of_plan(plan, judged.values(), self.records.executions, self.now)
        self.story += [outcome.ended(kind, row, self.now) for kind, row in ended]
        self.leaving += [d for d in judged.values() if d.state == "decided"]
        self._deliver()
        for effect in plan.effects:
            event = deeds.apply(effect, self.actors.get(effect["fan_id"]))
            if event is not None:
                self.react(event)

    def _judged(self, decisions: Sequence[Decision]) -> dict[str, Decision]:
        open_ones = [d for d in decisions if d.state == "decided"]
        facts_ = {i: known(d, self.actors, self.creator) for i, d in enumerate(open_ones)}
        found = gates.decide(decisions, facts_, self.contacts, self.policies, self.now)
        return {decision.message_id: decision for decision in found}

    def _deliver(self) -> None:
        """Let the messages go whose time has come; each is an event, as the sender writes it."""
        gone = [d for d in self.leaving if d.not_before <= self.now and not self._stopped(d)]
        self.leaving = [d for d in self.leaving if d.not_before > self.now]
        for decision in gone:
            self.react(traces.sent(decision, self.now))

    def _stopped(self, decision: Decision) -> bool:
        """Say whether the sender would not send this any more, and tell it in the story."""
        actor = self.actors[decision.fan_id]
        reason = "suppressed" if decision.platform in actor.suppressed else None
        if actor.consents.get(decision.topic) is False:
            reason = "consent_withdrawn"
        if reason is None:
            return False
        told = outcome.planned if decision.source == "campaign" else outcome.message
        self.story.remove(told(decision, decision.decided_at))
        late = replace(decision, state="skipped", reason=reason, earliest_at=None)
        self.story.append(told(late, self.now))
        self.contacts.get((CREATOR, decision.fan_id), {}).pop(decision.message_id, None)
        return True

    def _refusals(self, event: Event, plan: Plan, known: People) -> None:
        """Note which automations the event was for and who did not enter, and why."""
        frame = people.frame([event])
        inside = {execution["automation_id"] for execution in plan.executions}
        for automation in self.automations:
            if automation.id in inside or not _concerns(automation, event):
                continue
            row = frame.row(0, named=True)
            refused = entries.Memory(self.records.entered).enter(automation, row) is None
            why = "entry" if refused and _holds(automation, frame, known) else "conditions"
            detail = {"reason": why}
            self.story.append(Outcome("out", self.now, event.fan_id, automation.id, None, detail))

    def _refresh(self, until: datetime) -> datetime | None:
        """Move the segments on; stop at the first hour that brings a change and say which."""
        if not self.watched:
            return None
        passed = (self.now - self.epoch) // knowledge.EVERY * knowledge.EVERY
        moments = knowledge.hours(self.epoch + passed, until)
        for moment, members in self.members(self.watched, moments).items():
            changes = self._changes(members)
            if changes:
                self.now = moment
                self._settle(members)
                for name, segment, fan in changes:
                    detail = {"segment": segment, "change": name}
                    self.story.append(Outcome("member", moment, fan, segment, None, detail))
                    self.react(traces.moved(name, segment, fan, moment))
                return moment
        return None

    def _changes(self, members: dict[str, set[str]]) -> list[tuple[str, str, str]]:
        free = [actor for actor in self.actors.values() if not actor.fixed]
        return [
            ("entered_segment" if inside else "left_segment", segment, actor.id)
            for segment, ids in members.items()
            for actor in free
            if (inside := actor.inside(segment, ids)) != (segment in actor.segments)
        ]

    def _settle(self, members: dict[str, set[str]]) -> None:
        for actor in self.actors.values():
            if not actor.fixed:
                lists = {name for name, joined in actor.enrolled.items() if joined}
                found = {name for name, ids in members.items() if actor.inside(name, ids)}
                actor.segments = lists | found

    def members(
        self, names: Sequence[str], moments: Sequence[datetime]
    ) -> dict[datetime, dict[str, set[str]]]:
        """Return who is in segments at moments, by what has happened so far."""
        profiles = self._profiles()
        return dict(knowledge.members(profiles, self.log, self.segments, names, moments))

    def _profiles(self) -> pl.DataFrame:
        rows = [actor.profile(self.epoch) for actor in self.actors.values()]
        return pl.DataFrame(rows, schema=people.PROFILES)

    def _people(self) -> People:
        addresses = {(CREATOR, name): actor.addresses() for name, actor in self.actors.items()}
        history = people.frame(self.log)
        fans = knowledge.fans(self._profiles(), self.log)
        return People(fans, addresses, {CREATOR: self.creator}, history=history)


def _concerns(automation: LiveAutomation, event: Event) -> bool:
    trigger = automation.rule.trigger
    return (
        automation.rule.active
        and trigger.event == event.name
        and (not trigger.platform or event.platform in trigger.platform)
        and all(str(event.properties.get(k)) == str(v) for k, v in trigger.properties.items())
    )


def _holds(automation: LiveAutomation, frame: pl.DataFrame, known: People) -> bool:
    """Say whether the conditions hold; the planner asks them before the entry."""
    if not automation.rule.conditions:
        return True
    questions = {automation.id: triggered(automation.rule)}
    return bool(matching.answers(frame, known.fans, questions, around=known).hits)

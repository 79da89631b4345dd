"""The planner: from events to executions, steps, effects and decisions. Pure (law 4).

Belongs here: who enters and whom an event moves on. Steps that come due are `resumption`'s, one
fan's way is `passage`, what is asked `inquiry`; reading is `people` and `live`, writing `ledger`;
the gates of law 7 are applied to the decisions afterwards (`campaigns.gates`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import polars as pl

from huntaze_pipeline.rulebook import entries
from huntaze_pipeline.rulebook.flow import Op
from huntaze_pipeline.rulebook.live import LiveAutomation
from huntaze_pipeline.rulebook.passage import (
    Answered,
    Context,
    Open,
    Plan,
    Traveller,
    held_out,
    identify,
)
from huntaze_pipeline.rulebook.question import Question

__all__ = ["Context", "Open", "Plan", "enter", "entering", "plan"]


def plan(
    events: pl.DataFrame,
    fans: pl.DataFrame,
    automations: Sequence[LiveAutomation],
    context: Context,
    now: datetime,
) -> Plan:
    """Decide who enters which automation because of these events, and whom they move on.

    What is due at the instant of the event is decided; the rest waits as rows, even when it is due
    by `now`: then `resumption` takes it next. The order of the events' `position` is the order in
    which they count. A column `now` gives each its own instant of decision: a backtest decides a
    whole period at once.
    """
    going = [a for a in automations if a.rule.active and not a.paused]
    watch = _Watch(context, {(a.creator_id, a.id): a for a in automations})
    questions = _questions(going, watch)
    answers = context.answers(events, fans, questions, context.people)
    result, memory, asked = Plan(), entries.Memory(context.entered), frozenset(questions)
    watch.broken = result.unasked(answers.broken, [*going, *watch.versions()])
    mine: dict[str, list[LiveAutomation]] = {}
    for automation in (a for a in going if a.rule_hash not in watch.broken):
        mine.setdefault(automation.creator_id, []).append(automation)
    concerned = events.lazy().filter(pl.col("position").is_in([*answers.hits]))
    concerned = concerned.sort("position").collect()
    for event in concerned.iter_rows(named=True):
        answered = Answered(asked, answers.hits[event["position"]])
        at = event.get("now") or now
        if (event["creator_id"], event["fan_id"]) in watch.resting:
            watch.hear(event, answers.fans.get(event["position"]), answered, result, at)
        for automation in mine.get(event["creator_id"], ()):
            key = memory.enter(automation, event) if automation.rule_hash in answered.hits else None
            if key is not None:
                fan = answers.fans.get(event["position"])
                who = entering(automation, event, key, fan, context, at)
                if not enter(who, answered, result, watch):
                    memory.exit(automation, event)
    return result


def entering(
    automation: LiveAutomation,
    event: Mapping[str, Any],
    key: str,
    fan: Mapping[str, Any] | None,
    context: Context,
    now: datetime,
) -> Traveller:
    """Return the fan of an event at the door of an automation."""
    at: datetime = event.get("moment") or event["occurred_at"]
    name = identify(automation, event["fan_id"], key)
    return Traveller(automation, event, key, name, automation.rule_hash, at, fan, context, now)


def enter(who: Traveller, answered: Answered, result: Plan, watch: "_Watch | None" = None) -> bool:
    """Let a fan enter and take the steps of that instant; say whether the entry counts."""
    if held_out(who.automation, who.event["fan_id"]):
        result.executions.append(who.execution("held_out"))
        return True
    result.executions.append(who.execution())
    first = len(result.steps)
    who.walk(result, 0, 0, who.entered_at, answered)
    if watch is not None:
        watch.rest(who, result.steps[-1])
    return _counts(result.steps[first:])


def _counts(steps: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether an entry with these steps counts; `ledger` asks the same when it closes one."""
    if any(step["state"] == "waiting" or step["effect_id"] for step in steps):
        return True
    told = [step["reason"] for step in steps if step["message_id"]]
    return not told or any(reason not in entries.UNREACHED for reason in told)


@dataclass
class _Watch:
    """The passages that an event can move on or end, those that began in this batch included."""

    context: Context
    live: Mapping[tuple[str, str], LiveAutomation]
    resting: dict[tuple[str, str], list[Open]] = field(default_factory=dict)
    waiting: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Rows of this batch that wait, by execution."""
    broken: frozenset[str] = frozenset()
    """Versions some of whose questions could not be asked: who rests there goes on resting."""

    def __post_init__(self) -> None:
        for one in self.context.open:
            self.resting.setdefault((one.creator_id, one.fan_id), []).append(one)

    def versions(self) -> list[LiveAutomation]:
        """Return the versions by which passages of the context rest."""
        found = [self.version(one) for one in self.context.open]
        return list({v.rule_hash: v for v in found if v is not None}.values())

    def version(self, one: Open) -> LiveAutomation | None:
        """Return the version by which a passage rests, when it goes on at all."""
        live = self.live.get((one.creator_id, one.automation_id))
        if live is None or live.rule_hash == one.rule_hash:
            return live
        name = (one.creator_id, one.automation_id, one.rule_hash)
        return self.context.versions.get(name) if live.rule.on_change == "pin" else None

    def rest(self, who: Traveller, row: dict[str, Any]) -> None:
        """Keep in mind where a fan who has just entered rests."""
        if row["state"] != "waiting" or not row["awaits"]:
            return
        one = Open(
            creator_id=row["creator_id"], execution_id=row["execution_id"],
            automation_id=who.automation.id, fan_id=who.event["fan_id"], entry_key=who.key,
            origin=who.origin, rule_hash=row["rule_hash"], entered_at=who.entered_at,
            turn=row["turn"], position=row["position"], began_at=row["began_at"],
            due_at=row["due_at"], event_id=who.event["event_id"],
        )  # fmt: skip
        self.resting.setdefault((one.creator_id, one.fan_id), []).append(one)
        self.waiting[one.execution_id] = row

    def hear(
        self,
        event: Mapping[str, Any],
        fan: Mapping[str, Any] | None,
        answered: Answered,
        result: Plan,
        now: datetime,
    ) -> None:
        """Let an event end the passages whose goal it is, and move on those that wait for it."""
        name = (event["creator_id"], event["fan_id"])
        kept = []
        for one in self.resting.get(name, ()):
            version = self.version(one)
            if (
                version is None
                or version.rule_hash in self.broken
                or one.event_id == event["event_id"]
            ):
                kept.append(one)
                continue
            who = Traveller(
                version, {**event, "event_id": one.event_id}, one.entry_key, one.execution_id,
                one.origin, one.entered_at, fan, self.context, now,
            )  # fmt: skip
            kept += self._heard(one, who, event, answered, result)
        if name in self.resting:
            self.resting[name] = kept

    def _heard(
        self, one: Open, who: Traveller, event: Mapping[str, Any], answered: Answered, result: Plan
    ) -> list[Open]:
        """Return where the passage rests then; nothing when it has ended."""
        op, at = who.automation.program.at(one.position), event["occurred_at"]
        if op is None or at < one.entered_at:
            return [one]
        if who.automation.inquiry.goal in answered.hits:
            self._settle(one, who, op, "cancelled", "goal", result)
            return []
        came = op.awaits and who.automation.inquiry.came(op.position) in answered.hits
        if not came or not one.began_at <= at <= one.due_at:
            return [one]
        self._settle(one, who, op, "done", f"event {event['event_id']}", result)
        following = who.automation.program.at(op.targets[0] if op.targets else op.next)
        if following is None:
            return []
        row = who.waiting(following, one.turn + 1, at)
        result.steps.append(row)
        self.waiting[one.execution_id] = row
        return [_at(one, row)]

    def _settle(
        self, one: Open, who: Traveller, op: Op, state: str, reason: str, result: Plan
    ) -> None:
        """Say what became of the step where a passage rested."""
        row = who.row(op, one.turn, one.began_at, one.due_at, state, reason)
        here = self.waiting.pop(one.execution_id, None)
        if here is None:
            result.steps.append(row)
        else:
            here.update(row)


def _at(one: Open, row: Mapping[str, Any]) -> Open:
    moved = {key: row[key] for key in ("turn", "position", "began_at", "due_at", "rule_hash")}
    return replace(one, **moved)


def _questions(going: Sequence[LiveAutomation], watch: _Watch) -> dict[str, Question]:
    """Ask each distinct rule once, whatever can be asked in the instant of an entry, and of what
    passages wait for.

    Always the same, whatever the batch holds: then it has been planned before.
    """
    questions: dict[str, Question] = {}
    for automation in going:
        if automation.rule_hash not in questions:
            questions |= automation.inquiry.entry
    for version in watch.versions():
        questions |= version.inquiry.awaited
    return questions

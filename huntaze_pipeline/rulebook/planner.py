"""The planner: from events and due steps to executions, steps, effects and decisions. Pure (law 4).

Belongs here: who enters, whom an event moves on, and which version a step is taken by. One fan's
way is `passage`, reading is `people` and `live`, the questions `matching`, writing `ledger`; the
gates of law 7 are applied to the decisions afterwards (`campaigns.gates`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import polars as pl

from huntaze_pipeline.rulebook import entries, flow, matching
from huntaze_pipeline.rulebook.live import LiveAutomation
from huntaze_pipeline.rulebook.passage import (
    Answered,
    Context,
    Open,
    Plan,
    Traveller,
    ask,
    held_out,
    identify,
    leaves,
)

__all__ = ["Context", "Open", "Plan", "plan", "resume"]


def plan(
    events: pl.DataFrame,
    fans: pl.DataFrame,
    automations: Sequence[LiveAutomation],
    context: Context,
    now: datetime,
) -> Plan:
    """Decide who enters which automation because of these events, and whom they move on.

    What is due at the instant of the event is decided; the rest waits as rows, even when it is due
    by `now`: then `resume` takes it next. The order of the events' `position` is the order in
    which they count. A column `now` gives each its own instant of decision: a backtest decides a
    whole period at once.
    """
    going = [a for a in automations if a.rule.active and not a.paused]
    watch = _Watch(context, {(a.creator_id, a.id): a for a in automations})
    questions = _questions(going, watch)
    found = context.answers(events, fans, questions, context.people)
    result, memory, asked = Plan(), entries.Memory(context.entered), frozenset(questions)
    mine: dict[str, list[LiveAutomation]] = {}
    for automation in going:
        mine.setdefault(automation.creator_id, []).append(automation)
    concerned = events.lazy().filter(pl.col("position").is_in([*found.hits]))
    concerned = concerned.sort("position").collect()
    for event in concerned.iter_rows(named=True):
        answered = Answered(asked, found.hits[event["position"]])
        at = event.get("now") or now
        if (event["creator_id"], event["fan_id"]) in watch.resting:
            watch.hear(event, found.fans.get(event["position"]), answered, result, at)
        for automation in mine.get(event["creator_id"], ()):
            key = memory.enter(automation, event) if automation.rule_hash in answered.hits else None
            if key is not None:
                fan = found.fans.get(event["position"])
                who = _entering(automation, event, key, fan, context, at)
                if not _enter(who, answered, result, watch):
                    memory.exit(automation, event)
    return result


def _entering(
    automation: LiveAutomation,
    event: Mapping[str, Any],
    key: str,
    fan: Mapping[str, Any] | None,
    context: Context,
    now: datetime,
) -> Traveller:
    at: datetime = event.get("moment") or event["occurred_at"]
    name = identify(automation, event["fan_id"], key)
    return Traveller(automation, event, key, name, automation.rule_hash, at, fan, context, now)


def _enter(who: Traveller, answered: Answered, result: Plan, watch: "_Watch | None" = None) -> bool:
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
            if version is None or one.event_id == event["event_id"]:
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
        if _goal(who.automation.rule_hash) in answered.hits:
            self._settle(one, who, op, "cancelled", "goal", result)
            return []
        came = op.awaits and _came(who.automation.rule_hash, op.position) in answered.hits
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
        self, one: Open, who: Traveller, op: flow.Op, state: str, reason: str, result: Plan
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


def _questions(going: Sequence[LiveAutomation], watch: _Watch) -> dict[str, matching.Question]:
    """Ask each distinct rule once, whatever can be asked in the instant of an entry, and of what
    passages wait for.

    Always the same, whatever the batch holds: then it has been planned before.
    """
    questions: dict[str, matching.Question] = {}
    for automation in going:
        if automation.rule_hash not in questions:
            questions |= _entry(automation)
    for version in watch.versions():
        questions |= _awaited(version)
    return questions


def _entry(automation: LiveAutomation) -> dict[str, matching.Question]:
    """Return what is asked for an automation of every event."""
    asked: dict[str, matching.Question] | None = automation.memo.get("entry")
    if asked is None:
        asked = {automation.rule_hash: matching.triggered(automation.rule)}
        asked |= _steps(automation, 0, automation.rule.trigger.event)
        asked |= _awaited(automation)
        automation.memo["entry"] = asked
    return asked


def _steps(
    automation: LiveAutomation, position: int, event: str | None = None, *, again: bool = False
) -> dict[str, matching.Question]:
    """Ask what the steps of one instant need to know.

    Args:
        automation: the version.
        position: the first step.
        event: ask it of events with this name only.
        again: ask the automation's own conditions as well, for steps that do something.
    """
    rule, name = automation.rule, automation.rule_hash
    questions: dict[str, matching.Question] = {}
    if rule.exit is not None and rule.exit.event is None:
        questions[leaves(name)] = matching.holds(rule.exit.conditions, event=event)
    for op in automation.program.ahead(position):
        parts = [op.step.conditions, op.step.if_, None if op.step.exit is True else op.step.exit]
        parts += [rule.conditions] if again and op.acts else []
        if op.asks and any(part is not None for part in parts):
            questions[ask(name, op.position)] = matching.holds(*parts, event=event)
    return questions


def _awaited(automation: LiveAutomation) -> dict[str, matching.Question]:
    """Ask whether an event is one that somebody waits for."""
    rule, name = automation.rule, automation.rule_hash
    questions: dict[str, matching.Question] = {}
    if rule.exit is not None and rule.exit.event is not None:
        questions[_goal(name)] = matching.occurred(rule.exit)
    for op in automation.program:
        if op.step.wait is not None and op.step.wait.event is not None:
            questions[_came(name, op.position)] = matching.occurred(op.step.wait)
    return questions


def _goal(rule_hash: str) -> str:
    return f"{rule_hash}/goal"


def _came(rule_hash: str, position: int) -> str:
    return f"{rule_hash}/{position}/came"


def _enters(rule_hash: str) -> str:
    return f"{rule_hash}/enters"


_PRESENT = "*"
"""Asked of every row, so that its fan is known whatever else is asked."""


def resume(
    steps: pl.DataFrame,
    fans: pl.DataFrame,
    automations: Sequence[LiveAutomation],
    context: Context,
    now: datetime,
) -> Plan:
    """Decide the steps that have come due; conditions and activity are asked again.

    Args:
        steps: `people.EVENTS` of the triggering events, with `position` unique, and the columns of
            `ledger.DUE`: `moment` (when due), `step` (its position in the program), `turn`, …
        fans: as of now, the triggering events included.
        automations: what is live; a step of anything else is cancelled.
        context: as for `plan`, with the versions that steps were put down by.
        now: the tick's instant.
    """
    live = {(a.creator_id, a.id): a for a in automations if a.rule.active}
    rows = [(row, _Version.of(row, live, context)) for row in steps.iter_rows(named=True)]
    questions = {_PRESENT: matching.holds()}
    places = {(v.how, v.automation and v.automation.rule_hash, r["step"]): v for r, v in rows}
    for (_, _, position), version in places.items():  # compiled once a step of a version
        questions |= version.questions(position)
    found = context.answers(steps, fans, questions, context.people, running=False)
    result = Plan()
    for row, version in rows:
        answered = Answered(frozenset(questions), found.hits.get(row["position"], set()))
        fan, at = found.fans.get(row["position"]), row.get("now") or now
        _resumed(row, version, fan, answered, result, context, at)
    return result


@dataclass(frozen=True)
class _Version:
    """By which version a due step is taken, and how: at once, moved, begun anew, or not at all."""

    automation: LiveAutomation | None
    how: str = "take"
    """take | follow | restart | hold | cancel"""
    reason: str | None = None
    position: int | None = None
    """Where `follow` goes on."""

    @classmethod
    def of(
        cls,
        row: Mapping[str, Any],
        live: Mapping[tuple[str, str], LiveAutomation],
        context: Context,
    ) -> "_Version":
        """Choose by what is live now and what the step was put down by."""
        now = live.get((row["creator_id"], row["automation_id"]))
        if (row["creator_id"], row["automation_id"]) in context.broken:
            return cls(None, "hold", "automation_unreadable")
        if now is None:
            return cls(None, "cancel", "automation_inactive")
        if now.paused or row["execution_state"] == "paused":
            return cls(now, "hold", "automation_paused" if now.paused else "execution_paused")
        name = (row["creator_id"], row["automation_id"], row["rule_hash"])
        then = now if now.rule_hash == row["rule_hash"] else context.versions.get(name)
        if then is now or then is None or now.rule.on_change == "pin":
            return cls._known(then or now, row["step"])
        if now.rule.on_change == "restart":
            return cls(now, "restart", "restarted")
        position = flow.moved(then.program, row["step"], now.program)
        return cls(now, "follow", f"moved to {now.rule_hash}", position)

    @classmethod
    def _known(cls, version: LiveAutomation, position: int) -> "_Version":
        there = version.program.at(position) is not None
        return cls(version) if there else cls(version, "cancel", "step_removed")

    def questions(self, position: int) -> dict[str, matching.Question]:
        """Return what has to be asked before the step is taken."""
        if self.automation is None or self.how in ("hold", "cancel", "follow"):
            return {}
        if self.how == "take":
            return _steps(self.automation, position, again=True)
        asked = _steps(self.automation, 0, again=True)
        rule, name = self.automation.rule, self.automation.rule_hash
        return {**asked, _enters(name): matching.holds(rule.conditions)}


def _resumed(
    row: dict[str, Any],
    version: _Version,
    fan: Mapping[str, Any] | None,
    answered: Answered,
    result: Plan,
    context: Context,
    now: datetime,
) -> None:
    automation = version.automation
    if automation is None or version.how in ("hold", "cancel"):
        state = "held" if version.how == "hold" else "cancelled"
        result.steps.append(_left(row, state, version.reason, now))
        return
    who = Traveller(
        automation, row, row["entry_key"], row["execution_id"], row["origin"],
        row["entered_at"], fan, context, now,
    )  # fmt: skip
    if version.how == "take":
        who.walk(result, row["step"], row["turn"], row["moment"], answered, arrived=True)
    elif version.how == "restart":
        _restarted(row, who, answered, result)
    else:
        _followed(row, who, version, result)


def _followed(row: dict[str, Any], who: Traveller, version: _Version, result: Plan) -> None:
    """Put the step down again where it is in the new version; what was waited so far counts."""
    if version.position is None:
        result.steps.append(_left(row, "cancelled", "step_removed", who.now))
        return
    result.steps.append(_left(row, "moved", version.reason, who.now))
    op = who.automation.program.at(version.position)
    if op is not None:
        result.steps.append(who.waiting(op, row["turn"] + 1, row["began_at"]))


def _restarted(row: dict[str, Any], who: Traveller, answered: Answered, result: Plan) -> None:
    """End this passage; the fan enters the new version if its conditions hold now."""
    result.steps.append(_left(row, "cancelled", "restarted", who.now))
    if not answered.yes(_enters(who.automation.rule_hash)):
        return
    first = re.sub(r"@[0-9a-f]{8}$", "", row["entry_key"])
    key = f"{first}@{who.automation.rule_hash[:8]}"
    _enter(_entering(who.automation, row, key, who.fan, who.context, who.now), answered, result)


def _left(row: Mapping[str, Any], state: str, reason: str | None, now: datetime) -> dict[str, Any]:
    """Return the row of a step that is not taken."""
    return {
        "creator_id": row["creator_id"], "execution_id": row["execution_id"], "turn": row["turn"],
        "position": row["step"], "kind": row["kind"], "began_at": row["began_at"],
        "due_at": row["moment"], "state": state, "reason": reason, "message_id": None,
        "effect_id": None, "rule_hash": row["rule_hash"], "snapshot_id": None, "awaits": None,
        "done_at": None if state == "held" else now,
    }  # fmt: skip

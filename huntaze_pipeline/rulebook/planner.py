"""The planner: from events to executions, steps and decisions. Pure (law 4).

Belongs here: who enters an automation and what each step decides. Reading is `people` and `live`,
the question itself `matching`, writing `ledger`; the gates of law 7 are applied to the decisions
afterwards (`campaigns.gates`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from huntaze_pipeline import hashing
from huntaze_pipeline.rulebook import entries, matching
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.rulebook.live import LiveAutomation
from huntaze_pipeline.rulebook.messages import Recipient, compose
from huntaze_pipeline.rulebook.people import People
from huntaze_pipeline.rulebook.policies import Policies


@dataclass(frozen=True)
class Context:
    """What the planner knows besides events and fans."""

    people: People
    policies: Policies
    entered: Mapping[entries.Passage, Sequence[entries.Entry]] = field(default_factory=dict)
    """The entries that there are."""
    snapshot_id: int | None = None


@dataclass
class Plan:
    """What is to be written: rows of executions and steps, and the decisions."""

    executions: list[dict[str, Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)


def plan(
    events: pl.DataFrame,
    fans: pl.DataFrame,
    automations: Sequence[LiveAutomation],
    context: Context,
    now: datetime,
) -> Plan:
    """Decide who enters which automation because of these events.

    Steps that are due by `now` are decided; later ones wait as rows. The order of the events'
    `position` is the order in which they count.
    """
    active = [a for a in automations if a.rule.active]
    questions = _questions(active, events)
    found = matching.answers(events, fans, questions)
    result = Plan()
    memory = entries.Memory(context.entered)
    mine: dict[str, list[LiveAutomation]] = {}
    for automation in active:
        mine.setdefault(automation.creator_id, []).append(automation)
    for event in events.sort("position").iter_rows(named=True):
        hits = found.hits.get(event["position"], set())
        for automation in mine.get(event["creator_id"], ()) if hits else ():
            key = memory.enter(automation, event) if _key(automation) in hits else None
            if key is not None:
                fan = found.fans.get(event["position"])
                passage = _Passage(automation, event, key, fan, context, now)
                if not passage.start(result, hits):
                    memory.exit(automation, event)
    return result


def resume(
    steps: pl.DataFrame,
    fans: pl.DataFrame,
    automations: Sequence[LiveAutomation],
    context: Context,
    now: datetime,
) -> Plan:
    """Decide the steps that have come due; conditions and activity are asked again.

    Args:
        steps: `people.EVENTS` of the triggering events, with `position` unique, and `moment`
            (when due), `execution_id`, `automation_id`, `step`, `entry_key`.
        fans: as of now, the triggering events included.
        automations: what is live; a step of anything else is cancelled.
        context: as for `plan`.
        now: the tick's instant.
    """
    live = {(a.creator_id, a.id): a for a in automations if a.rule.active}
    questions: dict[str, matching.Question] = {}
    for row in steps.iter_rows(named=True):
        automation = live.get((row["creator_id"], row["automation_id"]))
        if automation and row["step"] < len(automation.rule.actions):
            name = _step_key(automation, row["step"])
            questions.setdefault(name, matching.still(automation.rule, row["step"]))
    found = matching.answers(steps, fans, questions, running=False)
    result = Plan()
    for row in steps.iter_rows(named=True):
        _resumed(row, live, found, result, context, now)
    return result


def _resumed(
    row: dict[str, Any],
    live: Mapping[tuple[str, str], LiveAutomation],
    found: matching.Answers,
    result: Plan,
    context: Context,
    now: datetime,
) -> None:
    automation = live.get((row["creator_id"], row["automation_id"]))
    if automation is None or row["step"] >= len(automation.rule.actions):
        reason = "automation_inactive" if automation is None else "step_removed"
        result.steps.append(_step(row, row["execution_id"], row["step"], "cancelled", reason, now))
        return
    fan = found.fans.get(row["position"])
    passage = _Passage(automation, row, row["entry_key"], fan, context, now)
    if _step_key(automation, row["step"]) in found.hits.get(row["position"], set()):
        passage.decide(row["step"], row["moment"], result)
    else:
        passage.skip(row["step"], row["moment"], "conditions", result)


@dataclass(frozen=True)
class _Passage:
    """One fan's way through one automation, because of one event."""

    automation: LiveAutomation
    event: dict[str, Any]
    key: str
    fan: dict[str, Any] | None
    """The fan's fields as of the event; None when there is no such fan."""
    context: Context
    now: datetime

    @property
    def id(self) -> str:
        a = self.automation
        return str(hashing.identifier(a.creator_id, a.id, self.event["fan_id"], self.key))

    def start(self, result: Plan, hits: set[str]) -> bool:
        """Enter, decide the steps that are due and put the others down as waiting.

        Returns:
            Whether the entry counts: False when there was a message and none could be sent.
        """
        first = len(result.steps)
        entered = self.event["occurred_at"]
        rule = self.automation.rule
        result.executions.append(self._execution(entered))
        for i, action in enumerate(rule.actions):
            due = entered + action.delay
            if due > self.now:
                result.steps.append(self._row(i, due, "waiting", None))
            elif action.conditions and _step_key(self.automation, i) not in hits:
                self.skip(i, due, "conditions", result)
            else:
                self.decide(i, due, result)
        return _counts(result.steps[first:])

    def decide(self, i: int, due: datetime, result: Plan) -> None:
        """Decide one step: a message, or a stored reason why there is none."""
        decision = self._decision(i, due)
        result.decisions.append(decision)
        state = "skipped" if decision.state == "skipped" else "done"
        row = self._row(i, due, state, decision.reason)
        result.steps.append(row | {"message_id": decision.message_id})

    def skip(self, i: int, due: datetime, reason: str, result: Plan) -> None:
        """Put a step down as not to be taken; nothing is sent, so there is no decision."""
        result.steps.append(self._row(i, due, "skipped", reason))

    def _decision(self, i: int, due: datetime) -> Decision:
        a, action, policies = (
            self.automation,
            self.automation.rule.actions[i],
            self.context.policies,
        )
        template = a.templates.get(action.template or "")
        manner = template.settings if template else None
        topic = action.topic or (manner.topic if manner else "marketing")
        expires: timedelta = (
            action.expires_after
            or (manner.expires_after if manner else None)
            or policies.expires_after
        )
        message = compose(action, template, self._recipient(), policies, self.event["platform"])
        return Decision(
            creator_id=a.creator_id, source="automation", source_id=a.id, rule_hash=a.rule_hash,
            fan_id=self.event["fan_id"], step=i, occurrence=self.key, platform=message.platform,
            account_id=message.account_id, address=message.address, content=message.content,
            subject=message.subject, template_id=action.template, topic=topic,
            priority=action.priority or (manner.priority if manner else "medium"),
            state="skipped" if message.reason else "decided", reason=message.reason,
            not_before=due, expires_at=due + expires, decided_at=self.now,
            snapshot_id=self.context.snapshot_id,
        )  # fmt: skip

    def _recipient(self) -> Recipient:
        people, creator = self.context.people, self.automation.creator_id
        return Recipient(
            fan=self.fan,
            addresses=people.addresses.get((creator, self.event["fan_id"]), []),
            creator=people.creators.get(creator, {"id": creator}),
            event=self.event,
        )

    def _execution(self, entered: datetime) -> dict[str, Any]:
        a = self.automation
        return {
            "creator_id": a.creator_id, "id": self.id, "automation_id": a.id,
            "rule_hash": a.rule_hash, "fan_id": self.event["fan_id"], "entry_key": self.key,
            "event_id": self.event["event_id"], "state": "active", "entered_at": entered,
            "snapshot_id": self.context.snapshot_id,
        }  # fmt: skip

    def _row(self, i: int, due: datetime, state: str, reason: str | None) -> dict[str, Any]:
        row = {"creator_id": self.automation.creator_id, "moment": due}
        return _step(row, self.id, i, state, reason, self.now)


def _counts(steps: Sequence[dict[str, Any]]) -> bool:
    """Say whether an entry with these steps counts; `ledger` asks the same when it closes one."""
    if any(step["state"] == "waiting" for step in steps):
        return True
    told = [step["reason"] for step in steps if step["message_id"]]
    return not told or any(reason not in entries.UNREACHED for reason in told)


def _step(
    row: Mapping[str, Any], execution: str, i: int, state: str, reason: str | None, now: datetime
) -> dict[str, Any]:
    return {
        "creator_id": row["creator_id"], "execution_id": execution, "position": i,
        "kind": "send_message", "due_at": row["moment"], "state": state, "reason": reason,
        "message_id": None, "done_at": None if state == "waiting" else now,
    }  # fmt: skip


def _questions(
    automations: Sequence[LiveAutomation], events: pl.DataFrame
) -> dict[str, matching.Question]:
    """Ask each distinct rule once, and each conditional step that can already be due."""
    names = set(events["name"].unique().to_list())
    questions: dict[str, matching.Question] = {}
    for automation in automations:
        rule = automation.rule
        if rule.trigger.event not in names or _key(automation) in questions:
            continue
        questions[_key(automation)] = matching.triggered(rule)
        for i, action in enumerate(rule.actions):
            if action.conditions:
                questions[_step_key(automation, i)] = matching.step_only(rule, i)
    return questions


def _key(automation: LiveAutomation) -> str:
    """Name a rule by what it asks, so that creators with the same rule share the question."""
    return automation.rule_hash


def _step_key(automation: LiveAutomation, i: int) -> str:
    return f"{automation.rule_hash}/{i}"

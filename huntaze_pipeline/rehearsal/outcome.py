"""What a rule did, as a row of the story: the value that worlds make and tests compare."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.rulebook.passage import Plan

CHOICES = ("if", "split", "wait", "exit")
"""Steps that choose how it goes on."""


@dataclass(frozen=True)
class Outcome:
    """One thing that came of an event, a step or a moment."""

    kind: str
    """One of `cases.KINDS_OF_OUTCOME`, or `member` for who came to or left a segment."""
    at: datetime
    """When it happened; for a message: when it goes out."""
    fan: str
    rule: str
    step: int | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


def message(decision: Decision, now: datetime) -> Outcome:
    """Return a decision as the outcome it is."""
    if decision.state == "skipped":
        detail = {"reason": decision.reason, "until": decision.earliest_at}
        return Outcome("skip", now, decision.fan_id, decision.source_id, decision.step, detail)
    detail = {
        "template": decision.template_id, "content": decision.content,
        "subject": decision.subject, "platform": decision.platform, "topic": decision.topic,
        "priority": decision.priority, "reason": decision.reason,
    }  # fmt: skip
    at = max(now, decision.not_before)
    return Outcome("send", at, decision.fan_id, decision.source_id, decision.step, detail)


def planned(decision: Decision, now: datetime) -> Outcome:
    """Return a campaign's decision as an outcome; it has no steps."""
    about = (decision.fan_id, decision.source_id)
    if decision.state == "held":
        wait = decision.expires_at - now if decision.expires_at else None
        return Outcome("wait", now, *about, None, {"wait": wait, "reason": decision.reason})
    if decision.reason == "holdout":
        return Outcome("hold", now, *about, None, {"reason": decision.reason})
    told = message(decision, now)
    variant = decision.variant_id or decision.followed_variant_id
    more = {"variant": variant, "followed": decision.followed_variant_id}
    return replace(told, step=None, detail={**told.detail, **more})


def outside(campaign: str, fans: Mapping[str, str], now: datetime) -> list[Outcome]:
    """Return who is not in a campaign's audience, and why."""
    return [Outcome("out", now, fan, campaign, None, {"reason": why}) for fan, why in fans.items()]


def of_plan(
    plan: Plan,
    decisions: Iterable[Decision],
    owners: Mapping[str, Mapping[str, Any]],
    now: datetime,
) -> list[Outcome]:
    """Return what came of one event or of the steps that were due.

    Args:
        plan: the planner's rows.
        decisions: its decisions, as the gates left them.
        owners: executions by id, those of before included.
        now: when this was decided.
    """
    found = [_entered(row, now) for row in plan.executions]
    for row in plan.steps:
        outcome = _step(row, owners[row["execution_id"]], now)
        if outcome is not None:
            found.append(outcome)
    bodies = [(row, row["kind"], row["body"]) for row in plan.effects]
    found += [
        Outcome(kind, now, row["fan_id"], row["automation_id"], row["position"], {"body": body})
        for row, kind, body in bodies
    ]
    return found + [message(decision, now) for decision in decisions]


def ended(kind: str, row: Mapping[str, Any], now: datetime) -> Outcome:
    """Return the end of a passage; one that ended early by its goal or a step is an exit."""
    detail = {"reason": row.get("reason")}
    if kind == "complete" and detail["reason"]:
        kind = "exit"
    return Outcome(kind, now, row["fan_id"], row["automation_id"], None, detail)


def _entered(row: Mapping[str, Any], now: datetime) -> Outcome:
    return Outcome("enter", now, row["fan_id"], row["automation_id"])


def _step(row: Mapping[str, Any], owner: Mapping[str, Any], now: datetime) -> Outcome | None:
    """Return a step that waits, is passed over or chooses a way; None for what others tell."""
    kind, detail = None, {"reason": row["reason"]}
    if row["state"] == "waiting" and row["due_at"] > now:
        kind, detail = "wait", {"wait": row["due_at"] - now}
    elif row["state"] == "skipped" and row["message_id"] is None:
        kind = "skip"
    elif row["state"] == "done" and row["kind"] in CHOICES and row["reason"]:
        kind, detail = "way", {"reason": row["reason"].partition(" ")[0]}
    if kind is None:
        return None
    about = (owner["fan_id"], owner["automation_id"], row["position"])
    return Outcome(kind, now, *about, detail)

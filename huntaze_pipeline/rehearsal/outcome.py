"""What a rule did, as a row of the story: the value that worlds make and tests compare."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from huntaze_pipeline.rulebook.decision import Decision


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


def of_steps(
    rows: Iterable[Mapping[str, Any]],
    owners: Mapping[str, Mapping[str, Any]],
    now: datetime,
) -> list[Outcome]:
    """Return the outcomes of steps that are no message: waiting, passed over, given up.

    Args:
        rows: steps, as the planner makes them.
        owners: executions by id.
        now: when this was decided.
    """
    found = []
    for row in rows:
        owner = owners[row["execution_id"]]
        about = (owner["fan_id"], owner["automation_id"], row["position"])
        if row["state"] == "waiting":
            found.append(Outcome("wait", now, *about, {"wait": row["due_at"] - now}))
        elif row["message_id"] is None and row["state"] in ("skipped", "cancelled"):
            kind = "skip" if row["state"] == "skipped" else "cancel"
            found.append(Outcome(kind, now, *about, {"reason": row["reason"]}))
    return found

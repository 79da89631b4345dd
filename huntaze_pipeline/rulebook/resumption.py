"""Steps that have come due: taken by the version that holds for them, held, moved or cancelled.

Pure, as `planner`, whose plan it goes on with.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from huntaze_pipeline.rulebook import flow, planner
from huntaze_pipeline.rulebook.live import LiveAutomation
from huntaze_pipeline.rulebook.passage import Answered, Context, Plan, Traveller
from huntaze_pipeline.rulebook.question import Question, holds

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
    questions = {_PRESENT: holds()}
    places = {(v.how, v.automation and v.automation.rule_hash, r["step"]): v for r, v in rows}
    for (_, _, position), version in places.items():  # compiled once a step of a version
        questions |= version.questions(position)
    answers = context.answers(steps, fans, questions, context.people, running=False)
    result = Plan()
    mine = {v.automation.rule_hash: v.automation for _, v in rows if v.automation is not None}
    broken = result.unasked(answers.broken, mine.values())
    for row, version in rows:
        if version.automation is not None and version.automation.rule_hash in broken:
            version = _UNREADABLE
        answered = Answered(frozenset(questions), answers.hits.get(row["position"], set()))
        fan, at = answers.fans.get(row["position"]), row.get("now") or now
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
            return _UNREADABLE
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

    def questions(self, position: int) -> dict[str, Question]:
        """Return what has to be asked before the step is taken."""
        if self.automation is None or self.how in ("hold", "cancel", "follow"):
            return {}
        if self.how == "take":
            return self.automation.inquiry.steps(position, again=True)
        return self.automation.inquiry.anew


_UNREADABLE = _Version(None, "hold", "automation_unreadable")


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
    if not answered.yes(who.automation.inquiry.enters):
        return
    first = re.sub(r"@[0-9a-f]{8}$", "", row["entry_key"])
    key = f"{first}@{who.automation.rule_hash[:8]}"
    again = planner.entering(who.automation, row, key, who.fan, who.context, who.now)
    planner.enter(again, answered, result)


def _left(row: Mapping[str, Any], state: str, reason: str | None, now: datetime) -> dict[str, Any]:
    """Return the row of a step that is not taken."""
    return {
        "creator_id": row["creator_id"], "execution_id": row["execution_id"], "turn": row["turn"],
        "position": row["step"], "kind": row["kind"], "began_at": row["began_at"],
        "due_at": row["moment"], "state": state, "reason": reason, "message_id": None,
        "effect_id": None, "rule_hash": row["rule_hash"], "snapshot_id": None, "awaits": None,
        "done_at": None if state == "held" else now,
    }  # fmt: skip

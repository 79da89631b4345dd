"""Executions and steps of a rehearsed world: what `ledger` keeps in PostgreSQL, kept in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.rulebook import entries, ledger, people
from huntaze_pipeline.rulebook.passage import Open, Plan

_ENDS = {"held_out": "hold", "exited": "exit", "cancelled": "cancel", "completed": "complete"}


@dataclass
class Records:
    """What there is of passages; nothing is overwritten but a step that waits."""

    entered: dict[entries.Passage, list[entries.Entry]] = field(default_factory=dict)
    executions: dict[str, dict[str, Any]] = field(default_factory=dict)
    steps: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)

    def keep(self, plan: Plan, now: datetime) -> list[tuple[str, dict[str, Any]]]:
        """Take in a plan's rows; return the passages that ended, with how (a kind of outcome)."""
        for row in plan.executions:
            if row["id"] not in self.executions:
                self.executions[row["id"]] = dict(row)
                entry = entries.Entry(row["entry_key"], row["entered_at"], row["event_id"])
                self.entered.setdefault(_passage(row), []).append(entry)
        for row in plan.steps:
            known = self.steps.get((row["execution_id"], row["turn"]))
            if known is None or (known["state"] == "waiting" and row["state"] != "waiting"):
                self.steps[row["execution_id"], row["turn"]] = row
        ended = [row for row in plan.executions if row["state"] == "held_out"]
        touched = dict.fromkeys(row["execution_id"] for row in plan.steps)
        ended += [self.executions[name] for name in touched if self._close(name)]
        return [(_ENDS[row["state"]], row) for row in ended]

    def waiting(self) -> list[dict[str, Any]]:
        """Return the steps that wait, the first to come due first."""
        found = [row for row in self.steps.values() if row["state"] == "waiting"]
        return sorted(found, key=lambda row: (row["due_at"], row["execution_id"], row["turn"]))

    def due(self, now: datetime, log: Sequence[Event]) -> pl.DataFrame:
        """Return the steps that are due with their events, as `ledger.due_steps` does."""
        rows = [row for row in self.waiting() if row["due_at"] <= now]
        about = [self._due(place, row, log) for place, row in enumerate(rows)]
        return pl.DataFrame(about, schema=ledger.DUE)

    def _due(self, place: int, row: Mapping[str, Any], log: Sequence[Event]) -> dict[str, Any]:
        owner = self.executions[row["execution_id"]]
        event = next(e for e in log if e.event_id == owner["event_id"])
        more = {
            "position": place, "moment": row["due_at"], "step": row["position"],
            "origin": owner["rule_hash"], "execution_state": owner["state"],
            **{key: owner[key] for key in ("automation_id", "entry_key", "entered_at")},
            **{key: row[key] for key in ("execution_id", "turn", "kind", "began_at", "rule_hash")},
        }  # fmt: skip
        about = people.frame([event]).row(0, named=True) | more
        return {name: about[name] for name in ledger.DUE}

    def resting(self, fan: str, name: str) -> tuple[Open, ...]:
        """Return a fan's passages that an event of this name can move on, as `ledger` does."""
        rows = [(row, self.executions[row["execution_id"]]) for row in self.waiting()]
        return tuple(
            Open(
                creator_id=row["creator_id"], execution_id=row["execution_id"],
                automation_id=owner["automation_id"], fan_id=fan, entry_key=owner["entry_key"],
                origin=owner["rule_hash"], rule_hash=row["rule_hash"],
                entered_at=owner["entered_at"], turn=row["turn"], position=row["position"],
                began_at=row["began_at"], due_at=row["due_at"], event_id=owner["event_id"],
            )
            for row, owner in rows
            if owner["fan_id"] == fan and name in (row["awaits"] or ())
        )  # fmt: skip

    def _close(self, name: str) -> bool:
        """End an execution whose steps are all over, as `ledger` does; say whether it ended."""
        owner = self.executions[name]
        rows = [row for _, row in sorted((k[1], r) for k, r in self.steps.items() if k[0] == name)]
        if owner["state"] != "active" or any(row["state"] == "waiting" for row in rows):
            return False
        told = [row for row in rows if row["message_id"]]
        stopped = [row["reason"] for row in rows if row["state"] == "cancelled"]
        left = any(row["kind"] == "exit" and row["reason"] == "exit" for row in rows)
        if _unreached(rows, told):
            owner |= {"state": "exited", "reason": told[0]["reason"]}
            self._forget(owner)
        elif stopped:
            state = "completed" if "goal" in stopped else "cancelled"
            owner |= {"state": state, "reason": stopped[-1]}
        else:
            owner |= {"state": "completed", "reason": "exit" if left else None}
        return True

    def _forget(self, owner: Mapping[str, Any]) -> None:
        """Let an entry not count, because nothing could be sent."""
        self.entered[_passage(owner)] = [
            entry._replace(exited=True) if entry.key == owner["entry_key"] else entry
            for entry in self.entered[_passage(owner)]
        ]


def _unreached(rows: Sequence[Mapping[str, Any]], told: Sequence[Mapping[str, Any]]) -> bool:
    skipped = (r["state"] == "skipped" and r["reason"] in entries.UNREACHED for r in told)
    return bool(told) and all(skipped) and not any(row["effect_id"] for row in rows)


def _passage(row: Mapping[str, Any]) -> entries.Passage:
    return row["creator_id"], row["automation_id"], row["fan_id"]

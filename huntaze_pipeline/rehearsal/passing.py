"""Time passing over a trial: events that move passages on, and steps as they come due.

All passages of a round go on at once, each at its own instants: they do not touch each other. The
steps themselves are taken by the live planner.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import polars as pl

from huntaze_pipeline.rehearsal.past import LAST, Past
from huntaze_pipeline.rulebook import people, planner, resumption
from huntaze_pipeline.rulebook.ledger import DUE
from huntaze_pipeline.rulebook.live import LiveAutomation

_TIME = pl.Datetime("us", "UTC")
_OWN: dict[str, Any] = {"seen_at": _TIME, "tie": pl.Int64, "imported": pl.Boolean, "now": _TIME}
ENTRY: dict[str, Any] = {**people.EVENTS, "moment": _TIME, **_OWN}
_WAKE: dict[str, Any] = {**DUE, **_OWN}
_REST: dict[str, Any] = {
    "creator_id": pl.String, "fan_id": pl.String, "began_at": _TIME, "due_at": _TIME,
    "awaits": pl.List(pl.String),
}  # fmt: skip
NOBODY = pl.DataFrame(schema=people.PROFILES)


@dataclass
class Passing:
    """The passages of a trial and what has become of them so far."""

    past: Past
    rules: Sequence[LiveAutomation]
    context: planner.Context
    until: datetime
    clock: Mapping[tuple[str, int], datetime] = field(default_factory=dict)
    """When live took steps, by execution and turn; the others are taken when they are due."""
    places: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By execution: its row and its event's."""
    steps: list[dict[str, Any]] = field(default_factory=list)
    decisions: list[Any] = field(default_factory=list)
    effects: list[dict[str, Any]] = field(default_factory=list)

    def run(self, plan: planner.Plan, events: Iterable[Mapping[str, Any]]) -> None:
        """Go on from a plan's entries until nothing more happens before `until`."""
        by_id = {(e["creator_id"], e["event_id"]): e for e in events}
        for row in plan.executions:
            event = by_id[(row["creator_id"], row["event_id"])]
            self.places[row["id"]] = {**event, **row}
        waiting = self._take(plan)
        while waiting:
            waiting = self._resume(self._hear(waiting))

    def _take(self, plan: planner.Plan) -> list[dict[str, Any]]:
        """Keep what a plan decided; return the steps that something can still happen to."""
        self.decisions += plan.decisions
        self.effects += plan.effects
        waiting = [s for s in plan.steps if s["state"] == "waiting" and self._lives(s)]
        self.steps += [s for s in plan.steps if not (s["state"] == "waiting" and self._lives(s))]
        return waiting

    def _lives(self, step: Mapping[str, Any]) -> bool:
        return step["due_at"] < self.until or bool(step["awaits"])

    def _hear(self, waiting: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Let events move the passages on that wait for them; return the steps that wait then."""
        rests = [s for s in waiting if s["awaits"]]
        events = self._events(rests) if rests else pl.DataFrame()
        heard: list[dict[str, Any]] = []
        if not events.is_empty():
            quiet = [
                replace(r, rule=r.rule.model_copy(update={"active": False})) for r in self.rules
            ]  # nobody enters; those inside hear
            context = replace(self.context, open=tuple(map(self._open, rests)))
            plan = planner.plan(events, NOBODY, quiet, context, self.until)
            moved = {(s["execution_id"], s["turn"]) for s in plan.steps}
            waiting = [s for s in waiting if (s["execution_id"], s["turn"]) not in moved]
            heard = self._take(plan)
        over = [s for s in waiting if s["due_at"] >= self.until]  # nothing came, nothing will
        self.steps += over
        return [s for s in waiting if s["due_at"] < self.until] + heard

    def _events(self, rests: Sequence[dict[str, Any]]) -> pl.DataFrame:
        """The events that resting passages may wait for, as they became known while they rested."""
        rows = [
            {**{n: s[n] for n in _REST if n != "fan_id"},
             "fan_id": self.places[s["execution_id"]]["fan_id"]}
            for s in rests
        ]  # fmt: skip
        con = self.past.con
        con.register("rest_frame", pl.DataFrame(rows, schema=_REST).to_arrow())
        found = con.execute(
            """
            select row_number() over (order by e.seen_at, e.tie) - 1 as position, e.*,
                   e.occurred_at as moment, e.seen_at as now
            from past_events e semi join rest_frame r
                on r.creator_id = e.creator_id and r.fan_id = e.fan_id
                and list_contains(r.awaits, e.name) and e.occurred_at > r.began_at
                and e.seen_at <= r.due_at
            """
        ).pl()
        con.unregister("rest_frame")
        return found.select(pl.col(name).cast(kind) for name, kind in ENTRY.items())

    def _open(self, step: Mapping[str, Any]) -> planner.Open:
        place = self.places[step["execution_id"]]
        return planner.Open(
            creator_id=step["creator_id"], execution_id=step["execution_id"],
            automation_id=place["automation_id"], fan_id=place["fan_id"],
            entry_key=place["entry_key"], origin=place["rule_hash"],
            rule_hash=step["rule_hash"], entered_at=place["entered_at"], turn=step["turn"],
            position=step["position"], began_at=step["began_at"], due_at=step["due_at"],
            event_id=place["event_id"],
        )  # fmt: skip

    def _resume(self, waiting: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Take the steps of a round as they come due; return those that wait behind them."""
        later = [s for s in waiting if s["due_at"] >= self.until]
        due = [s for s in waiting if s["due_at"] < self.until]
        due.sort(key=lambda s: (s["due_at"], s["execution_id"]))
        rows = [self._row(n, step) for n, step in enumerate(due)]
        if not rows:
            return later
        frame = pl.DataFrame(rows, schema=_WAKE)
        plan = resumption.resume(frame, NOBODY, self.rules, self.context, self.until)
        return later + self._take(plan)

    def _row(self, n: int, step: Mapping[str, Any]) -> dict[str, Any]:
        """A step that has come due, with its event, as `ledger.due_steps` gives it."""
        place = self.places[step["execution_id"]]
        # A step put down behind a late event is due before anybody could have taken it.
        due = max(step["due_at"], place["now"])
        now = self.clock.get((step["execution_id"], step["turn"]), due)
        return {
            **{name: place[name] for name in people.EVENTS},
            "position": n, "moment": step["due_at"], "execution_id": step["execution_id"],
            "automation_id": place["automation_id"], "entry_key": place["entry_key"],
            "step": step["position"], "turn": step["turn"], "kind": step["kind"],
            "began_at": step["began_at"], "rule_hash": step["rule_hash"],
            "origin": place["rule_hash"], "entered_at": place["entered_at"],
            "execution_state": "active", "seen_at": now, "tie": LAST,
            "imported": place["imported"], "now": now,
        }  # fmt: skip

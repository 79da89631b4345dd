"""One fan's way through an automation: which steps are taken in an instant, and where it rests.

Pure: the answers to all questions are passed in. Who enters is `planner`'s, what comes due
`resumption`'s.
"""

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from huntaze_pipeline import hashing
from huntaze_pipeline.errors import Problem
from huntaze_pipeline.rulebook import deeds, matching, walltime
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.rulebook.entries import Entry, Passage
from huntaze_pipeline.rulebook.flow import Op
from huntaze_pipeline.rulebook.live import LiveAutomation, Version
from huntaze_pipeline.rulebook.messages import Recipient, compose
from huntaze_pipeline.rulebook.people import People
from huntaze_pipeline.rulebook.policies import Policies


@dataclass(frozen=True)
class Open:
    """A passage that rests at a step, as far as an event can move it on or end it."""

    creator_id: str
    execution_id: str
    automation_id: str
    fan_id: str
    entry_key: str
    origin: str
    """The version that the fan entered with."""
    rule_hash: str
    """The version of the step where it rests."""
    entered_at: datetime
    turn: int
    position: int
    began_at: datetime
    due_at: datetime
    event_id: str | None = None


@dataclass(frozen=True)
class Context:
    """What the planner knows besides events and fans."""

    people: People
    policies: Policies
    entered: Mapping[Passage, list[Entry]] = field(default_factory=dict)
    """The entries that there are."""
    snapshot_id: int | None = None
    open: tuple[Open, ...] = ()
    """Passages of the events' fans that rest at a step."""
    versions: Mapping[Version, LiveAutomation] = field(default_factory=dict)
    """Earlier versions, for those who go on with the one they entered with."""
    answers: Callable[..., matching.Answers] = matching.answers
    """How questions are answered: live from the batch, in a backtest from the past."""
    broken: Set[tuple[str, str]] = frozenset()
    """(creator_id, id) of automations that are live and cannot be read; their steps are held."""


@dataclass
class Plan:
    """What is to be written: rows of executions, steps and effects, and the decisions."""

    executions: list[dict[str, Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    effects: list[dict[str, Any]] = field(default_factory=list)
    faults: list[Problem] = field(default_factory=list)
    """Automations whose questions could not be asked: they let nobody in and held their steps."""

    def unasked(self, broken: Mapping[str, str], rules: Iterable[LiveAutomation]) -> frozenset[str]:
        """Note the versions among some of whose questions some could not be asked.

        Args:
            broken: those questions, by name, and why.
            rules: whose they may be.

        Returns:
            The versions' hashes.
        """
        if not broken:
            return frozenset()
        why = {name.partition("/")[0]: told for name, told in broken.items()}
        for one in rules:
            if one.rule_hash in why:
                where = f"automation {one.creator_id}/{one.id}"
                self.faults.append(Problem(where, why[one.rule_hash]))
        return frozenset(why)


@dataclass(frozen=True)
class Answered:
    """What was asked at one instant about one fan, and which answers were yes."""

    asked: Set[str] = frozenset()
    hits: Set[str] = frozenset()

    def yes(self, name: str) -> bool:
        """Say whether something holds; what there was no need to ask does."""
        return name not in self.asked or name in self.hits


@dataclass(frozen=True)
class Traveller:
    """A fan on its way through one version of an automation."""

    automation: LiveAutomation
    event: Mapping[str, Any]
    """The event that it entered with."""
    key: str
    execution_id: str
    origin: str
    entered_at: datetime
    fan: Mapping[str, Any] | None
    """The fan's fields as of this instant; None when there is no such fan."""
    context: Context
    now: datetime

    @property
    def occurrence(self) -> str:
        """What tells its messages from those of another entry, or of another version."""
        same = self.origin == self.automation.rule_hash
        return self.key if same else f"{self.key}@{self.automation.rule_hash[:8]}"

    def walk(
        self,
        result: Plan,
        position: int,
        turn: int,
        moment: datetime,
        answered: Answered,
        *,
        arrived: bool = False,
    ) -> None:
        """Take steps until one has to wait or the way ends.

        Args:
            result: where rows and decisions are put.
            position: the step to begin with.
            turn: the number of its row in the history of this execution.
            moment: the instant of it all, by the rule's reckoning.
            answered: the answers as of that instant.
            arrived: the wait of the first step is over.
        """
        changed, program = False, self.automation.program
        while (op := program.at(position)) is not None:
            if self._left(op, turn, moment, answered, result):
                return
            due = moment if arrived else self.due(op, moment)
            if due > moment or (changed and op.asks):
                # Behind a change of the fan, questions wait until they can see it.
                result.steps.append(self.waiting(op, turn, moment))
                return
            position, did = self._take(op, turn, moment, answered, result)
            changed, arrived, turn = changed or did, False, turn + 1

    def _left(self, op: Op, turn: int, moment: datetime, answered: Answered, result: Plan) -> bool:
        name = self.automation.inquiry.leaves
        if name not in answered.asked or name not in answered.hits:
            return False
        result.steps.append(self.row(op, turn, moment, moment, "cancelled", "goal"))
        return True

    def due(self, op: Op, moment: datetime) -> datetime:
        """Return when a step that is reached at `moment` is due."""
        if op.delay is not None:
            return max(moment, self.entered_at + op.delay)
        wait = op.step.wait
        if wait is None:
            return moment
        if wait.until is not None:
            zone = self.fan.get("zone") if self.fan and wait.zone == "fan" else None
            creator = self.context.people.creators.get(self.automation.creator_id, {})
            return walltime.upcoming(moment, wait.until, zone or creator.get("zone"), wait.on)
        return moment + (wait.for_ or wait.timeout or timedelta(0))

    def waiting(self, op: Op, turn: int, moment: datetime) -> dict[str, Any]:
        """Return the row of a step that is reached at `moment` and not taken yet."""
        return self.row(op, turn, moment, self.due(op, moment), "waiting", None)

    def row(
        self, op: Op, turn: int, began: datetime, due: datetime, state: str, reason: str | None
    ) -> dict[str, Any]:
        """Return a row of the history."""
        a = self.automation
        return {
            "creator_id": a.creator_id, "execution_id": self.execution_id, "turn": turn,
            "position": op.position, "kind": op.kind, "began_at": began, "due_at": due,
            "state": state, "reason": reason, "message_id": None, "effect_id": None,
            "rule_hash": a.rule_hash, "snapshot_id": self.context.snapshot_id,
            "awaits": heeds(a, op) if state == "waiting" else None,
            "done_at": None if state == "waiting" else self.now,
        }  # fmt: skip

    def _take(
        self, op: Op, turn: int, moment: datetime, answered: Answered, result: Plan
    ) -> tuple[int, bool]:
        """Take one step; return the next position, and whether the fan has been changed."""
        yes = answered.yes(self.automation.inquiry.before(op.position))
        done = self.row(op, turn, moment, moment, "done", None)
        if op.acts and not yes:
            result.steps.append(done | {"state": "skipped", "reason": "conditions"})
            return op.next, False
        if op.kind == "send":
            self._send(op, done, moment, result)
            return op.next, False
        if op.acts:
            return op.next, self._deed(op, done, moment, result)
        position, reason = self._way(op, yes)
        result.steps.append(done | {"reason": reason})
        return position, False

    def _way(self, op: Op, yes: bool) -> tuple[int, str | None]:
        """Choose how it goes on behind a step that only chooses; with the word for the history."""
        if op.kind == "if":
            return (op.targets[0], "then") if yes else (op.targets[1], "else")
        if op.kind == "split":
            return self._lot(op)
        if op.kind == "exit":
            return (len(self.automation.program), "exit") if yes else (op.next, "stays")
        if op.awaits:  # had it come, the passage would not be here any more
            return (op.targets[1] if op.targets else op.next), "timeout"
        return op.next, None

    def _lot(self, op: Op) -> tuple[int, str]:
        """Draw the fan's way of a split: the same in every entry, for ever."""
        a, ways = self.automation, op.step.split or ()
        salt = op.step.id or str(op.position)
        drawn = hashing.fraction("split", f"{a.creator_id}/{a.id}", salt, self.event["fan_id"])
        point = drawn * sum(way.weight for way in ways)
        upto, chosen = 0.0, 0
        for i, way in enumerate(ways):
            upto += way.weight
            chosen = i if way.weight > 0 else chosen
            if point < upto:
                break
        return op.targets[chosen], ways[chosen].id or str(chosen)

    def _send(self, op: Op, row: dict[str, Any], moment: datetime, result: Plan) -> None:
        decision = self._decision(op, moment)
        result.decisions.append(decision)
        state = "skipped" if decision.state == "skipped" else "done"
        detail = {"state": state, "reason": decision.reason, "message_id": decision.message_id}
        result.steps.append(row | detail)

    def _decision(self, op: Op, due: datetime) -> Decision:
        a, send, policies = self.automation, op.step.send, self.context.policies
        assert send is not None
        template = a.templates.get(send.template or "")
        manner = template.settings if template else None
        topic = send.topic or (manner.topic if manner else "marketing")
        expires = (
            send.expires_after or (manner.expires_after if manner else None)
        ) or policies.expires_after
        message = compose(send, template, self._recipient(), policies, self.event["platform"])
        return Decision(
            creator_id=a.creator_id, source="automation", source_id=a.id, rule_hash=a.rule_hash,
            fan_id=self.event["fan_id"], step=op.position, occurrence=self.occurrence,
            platform=message.platform, account_id=message.account_id, address=message.address,
            content=message.content, subject=message.subject, template_id=send.template,
            topic=topic, priority=send.priority or (manner.priority if manner else "medium"),
            state="skipped" if message.reason else "decided", reason=message.reason,
            not_before=due, expires_at=due + expires, decided_at=self.now,
            snapshot_id=self.context.snapshot_id,
        )  # fmt: skip

    def _deed(self, op: Op, row: dict[str, Any], moment: datetime, result: Plan) -> bool:
        """Put down what is to be done besides messages; say whether it changes the fan."""
        effect, reason = deeds.effect(op, self._recipient(), row, moment)
        if effect is None:
            result.steps.append(row | {"state": "skipped", "reason": reason})
            return False
        result.effects.append(
            effect | {"automation_id": self.automation.id, "fan_id": self.event["fan_id"]}
        )
        result.steps.append(row | {"effect_id": effect["id"]})
        return op.kind in deeds.CHANGES

    def _recipient(self) -> Recipient:
        people, creator = self.context.people, self.automation.creator_id
        return Recipient(
            fan=self.fan,
            addresses=people.addresses.get((creator, self.event["fan_id"]), []),
            creator=people.creators.get(creator, {"id": creator}),
            event=self.event,
        )

    def execution(self, state: str = "active") -> dict[str, Any]:
        """Return the row of this entry."""
        a = self.automation
        return {
            "creator_id": a.creator_id, "id": self.execution_id, "automation_id": a.id,
            "rule_hash": a.rule_hash, "fan_id": self.event["fan_id"], "entry_key": self.key,
            "event_id": self.event["event_id"], "state": state, "entered_at": self.entered_at,
            "ended_at": None if state == "active" else self.now,
            "snapshot_id": self.context.snapshot_id,
        }  # fmt: skip

    def under(self, automation: LiveAutomation) -> "Traveller":
        """Return the same fan on its way through another version."""
        return replace(self, automation=automation)


def heeds(automation: LiveAutomation, op: Op) -> list[str] | None:
    """Return the names of events that concern a fan who rests at a step; None: no event does."""
    goal, wait = automation.rule.exit, op.step.wait
    names = {goal.event if goal else None, wait.event if wait else None}
    return sorted(name for name in names if name) or None


def identify(automation: LiveAutomation, fan_id: str, key: str) -> str:
    """Return the deterministic id of an entry."""
    return hashing.name(automation.creator_id, automation.id, fan_id, key)


def held_out(automation: LiveAutomation, fan_id: str) -> bool:
    """Say whether a fan belongs to the share that gets nothing of an automation."""
    share, name = automation.rule.holdout, f"{automation.creator_id}/{automation.id}"
    return share > 0 and hashing.fraction("holdout", name, fan_id) < share

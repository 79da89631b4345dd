"""The plan of an apply: the apply itself, in a transaction that is taken back.

So a plan cannot promise anything else than what the apply then does. What is live before and after
is compared; nothing of it stays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import duckdb
from sqlalchemy import Connection

from huntaze_pipeline.audience import preview
from huntaze_pipeline.errors import Problem, WarehouseError
from huntaze_pipeline.rehearsal import differences, passengers, rulings, standing
from huntaze_pipeline.rehearsal.differences import Difference
from huntaze_pipeline.rehearsal.passengers import Fate
from huntaze_pipeline.rehearsal.standing import Rest, Rule
from huntaze_pipeline.rulebook import live, registry, selection
from huntaze_pipeline.rulebook.loader import Rulebook
from huntaze_pipeline.rulebook.registry import Applied

_SAMPLE = 5


@dataclass(frozen=True)
class Movement:
    """Who comes into a segment and who leaves it, if it were evaluated now."""

    before: int
    after: int
    entered: Sequence[str]
    left: Sequence[str]

    def plain(self) -> dict[str, Any]:
        """Return it as JSON-like data; of the fans, a few."""
        return {
            "before": self.before, "after": self.after, "entered": len(self.entered),
            "left": len(self.left), "entered_sample": list(self.entered[:_SAMPLE]),
            "left_sample": list(self.left[:_SAMPLE]),
        }  # fmt: skip


@dataclass
class Change:
    """One rule, and what an apply does to it."""

    kind: str
    id: str
    action: str
    """create | change | stop | keep (a campaign that goes on as it was) | follow (a segment that
    changes because one that it names does)"""
    before: str | None = None
    """Content hash."""
    after: str | None = None
    differences: list[Difference] = field(default_factory=list)
    fate: Fate | None = None
    movement: Movement | None = None
    unsent: int = 0
    """Messages that are decided and not gone yet; they go."""
    withdrawn: int = 0
    """Messages that are decided and not gone yet; the apply cancels them."""
    note: str | None = None

    def plain(self) -> dict[str, Any]:
        """Return it as JSON-like data."""
        return {
            "kind": self.kind, "id": self.id, "action": self.action, "before": self.before,
            "after": self.after, "differences": [d.plain() for d in self.differences],
            "in_flight": self.fate.plain() if self.fate else None,
            "members": self.movement.plain() if self.movement else None,
            "unsent": self.unsent, "withdrawn": self.withdrawn, "note": self.note,
        }  # fmt: skip


@dataclass(frozen=True)
class Forecast:
    """What an apply would do for one creator."""

    creator_id: str
    live: str
    """`standing.fingerprint` of what is live now."""
    changes: list[Change]

    @property
    def changed(self) -> bool:
        """Whether the apply would change anything; what is only kept does not count."""
        return any(change.action != "keep" for change in self.changes)


def forecast(
    connection: Connection,
    lake: duckdb.DuckDBPyConnection | None,
    creator_id: str,
    rulebook: Rulebook,
    now: datetime,
) -> Forecast:
    """Return what an apply would do for a creator; nothing is changed.

    Args:
        connection: PostgreSQL, in a transaction.
        lake: for who enters and leaves segments; None: that stays unknown.
        creator_id: for whom.
        rulebook: the checked files.
        now: the instant of the question.
    """
    before = standing.rules(connection, creator_id)
    old = live.segments(connection, [creator_id], strict=False)
    rests = standing.on_the_way(connection, creator_id)
    versions = _versions(connection, creator_id, rests)
    waiting = standing.unsent(connection, creator_id)
    trial = connection.begin_nested()
    applied = registry.apply(connection, creator_id, rulebook, now)
    after = standing.rules(connection, creator_id)
    live_now = {a.id: a for a in live.automations(connection, [creator_id], [])}
    new = live.segments(connection, [creator_id])
    going = standing.unsent(connection, creator_id)
    trial.rollback()
    changes = _changes(applied, before, after)
    changes += _moved_along(changes, old, new, now)
    changes += _ruled(connection, creator_id, rulebook)
    for change in changes:
        if change.kind == "automations" and change.action != "create":
            mine = [rest for rest in rests if rest.automation_id == change.id]
            change.fate = passengers.fate(mine, versions, live_now.get(change.id))
    _members(connection, lake, changes, new, now)
    _already_in(connection, creator_id, changes, live_now)
    for change in changes:
        if change.kind == "automations":
            change.unsent = going.get(change.id, 0)
            change.withdrawn = waiting.get(change.id, 0) - change.unsent
    changes.sort(key=lambda change: (change.kind, change.id))
    return Forecast(creator_id, standing.fingerprint(before), changes)


def _changes(
    applied: Applied, before: Mapping[str, Rule], after: Mapping[str, Rule]
) -> list[Change]:
    """Turn the apply's own account into changes, with what differs."""
    told = {
        "create": applied.created, "change": applied.updated, "stop": applied.stopped,
        "keep": applied.kept,
    }  # fmt: skip
    found = []
    for action, labels in told.items():
        for label in labels:
            kind, _, name = label.partition("/")
            old, new = before.get(label), after.get(label)
            change = Change(kind, name, action, old and old.hash, new and new.hash)
            if old is not None and new is not None:
                change.differences = differences.between(old.body, new.body)
                if action == "change" and not change.differences:
                    change.note = "only the templates that it sends change"
            found.append(change)
    return found


def _ruled(connection: Connection, creator_id: str, rulebook: Rulebook) -> list[Change]:
    """Return what the policies say that the last release did not; they hold for every message."""
    told = rulings.change(connection, creator_id, rulebook.policies)
    if told is None:
        return []
    last = rulings.noted(connection, creator_id)
    change = Change(rulings.KIND, rulings.KIND, told["action"], told["before"], told["after"])
    if last is not None:
        change.differences = differences.between(last.body, told["body"])
    change.note = "live goes by the file, for all creators; the apply notes since when"
    return [change]


def _moved_along(
    changes: Sequence[Change],
    old: Sequence[live.LiveSegment],
    new: Sequence[live.LiveSegment],
    now: datetime,
) -> list[Change]:
    """Return the segments that change because a segment that they name does."""
    told = {change.id for change in changes if change.kind == "segments"}
    before = {s.id: s.predicate for s in selection.selections(old, now, {})}
    return [
        Change("segments", after.id, "follow", note="names a segment that changes")
        for after in selection.selections(new, now)
        if after.id not in told and before.get(after.id) != after.predicate
    ]


def _members(
    connection: Connection,
    lake: duckdb.DuckDBPyConnection | None,
    changes: Sequence[Change],
    new: Sequence[live.LiveSegment],
    now: datetime,
) -> None:
    """Say who would come into each changed segment and who would leave it."""
    mine = [c for c in changes if c.kind == "segments"]
    wanted = {change.id for change in mine}
    asked = [s for s in selection.selections(new, now) if s.id in wanted]
    if not asked:
        return
    try:
        if lake is None:
            raise WarehouseError("there is no lake")
        inside = preview.members(connection, lake, asked[0].creator_id, asked, now)
    except WarehouseError as error:
        for change in mine:
            change.note = f"who is in it is not known: {error}"
        return
    current = standing.members(connection, asked[0].creator_id, sorted(wanted))
    for change in mine:
        old, after = current[change.id], inside[change.id]
        moved = (sorted(after - old), sorted(old - after))
        change.movement = Movement(len(old), len(after), *moved)


def _already_in(
    connection: Connection,
    creator_id: str,
    changes: Sequence[Change],
    after: Mapping[str, live.LiveAutomation],
) -> None:
    """Say of automations that begin to hear of a segment who is in it: nobody of them enters it."""
    made = {c.id: c.movement for c in changes if c.kind == "segments" and c.action == "create"}
    for change in changes:
        begins = change.action == "create" or any(
            difference.path.startswith("trigger") for difference in change.differences
        )
        if change.kind != "automations" or not begins or change.id not in after:
            continue
        trigger = after[change.id].rule.trigger
        name = str(trigger.properties.get("segment"))
        if trigger.event == "entered_segment":
            new = made.get(name)
            inside = standing.members(connection, creator_id, [name])[name]
            change.note = _silent(name, new.after if new else len(inside)) or change.note


def _silent(segment: str, fans: int) -> str | None:
    if not fans:
        return None
    told = "fan is" if fans == 1 else "fans are"
    return f"{fans:,} {told} in {segment} already: no entry for whoever does not leave it first"


def _versions(
    connection: Connection, creator_id: str, rests: Sequence[Rest]
) -> dict[str, live.LiveAutomation]:
    names = {(creator_id, rest.automation_id, rest.rule_hash) for rest in rests}
    faults: list[Problem] = []
    return {key[2]: found for key, found in live.versions(connection, names, faults).items()}

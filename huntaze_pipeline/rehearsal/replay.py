"""A period decided again, and compared byte by byte with what live decided.

Entries are decided at their events, later steps and gates at the instants at which live took them;
rules and templates are the versions of then. What must come out is the same rows; what does not is
shown with its cause. Nothing is written.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline import hashing
from huntaze_pipeline.rehearsal import backtest, meaning
from huntaze_pipeline.rehearsal.past import Past
from huntaze_pipeline.rehearsal.rulings import Rulings
from huntaze_pipeline.rulebook import live
from huntaze_pipeline.rulebook.decision import Decision

_VERSIONS = text(
    """
    select v.automation_id, v.rule_hash, v.created_at,
           lead(v.created_at) over (partition by v.automation_id order by v.created_at) as until
    from automation_versions v where v.creator_id = :creator
    order by v.automation_id, v.created_at
    """
)
_MESSAGES = text(
    """
    select m.id, m.fan_id, m.source_id, m.rule_hash, m.step, m.occurrence, m.platform,
           m.account_id, m.address, m.content, m.subject, m.template_id, m.priority, m.topic,
           m.state, m.reason, m.earliest_at, m.not_before, m.expires_at, m.decided_at, m.ended_at,
           e.id as execution_id, e.rule_hash as entered_by, e.event_id,
           coalesce(i.received_at, e.entered_at) as known_at,
           s.due_at <= coalesce(i.received_at, e.entered_at) as at_entry
    from messages m
    join steps s on s.creator_id = m.creator_id and s.message_id = m.id
    join executions e on e.creator_id = s.creator_id and e.id = s.execution_id
    left join inbox i on i.creator_id = e.creator_id and i.event_id = e.event_id
    where m.creator_id = :creator and m.source = 'automation'
      and coalesce(i.received_at, e.entered_at) >= :since
      and coalesce(i.received_at, e.entered_at) < :until
    order by m.decided_at, m.id
    """
)
_STEPS = text(
    """
    select s.execution_id, s.turn, s.done_at
    from steps s join executions e on e.creator_id = s.creator_id and e.id = s.execution_id
    where s.creator_id = :creator and s.done_at is not null and e.entered_at < :until
    """
)
_COMPARED = (
    "fan_id", "source_id", "rule_hash", "step", "occurrence", "platform", "account_id", "address",
    "content", "subject", "template_id", "priority", "topic", "state", "reason", "earliest_at",
    "not_before", "expires_at", "decided_at",
)  # fmt: skip
Row = Mapping[str, Any]


@dataclass
class Difference:
    """One message that did not come out the same."""

    id: str
    fan_id: str
    rule: str
    kind: str
    """different | only_live | only_replay"""
    fields: dict[str, tuple[Any, Any]]
    """Name: (live, replay)."""
    cause: str


@dataclass
class Replay:
    """What came of deciding a period again."""

    creator_id: str
    since: datetime
    until: datetime
    same: int = 0
    digest_live: str = ""
    """Content hash of every decision that live made, in order of id."""
    digest_replay: str = ""
    differences: list[Difference] = field(default_factory=list)

    @property
    def identical(self) -> bool:
        """Whether the two are the same, byte for byte."""
        return self.digest_live == self.digest_replay

    def text(self) -> str:
        """Return it as lines for a terminal."""
        word = "identical" if self.identical else "different"
        lines = [
            f"{self.creator_id}: {self.since:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M} UTC:"
            f" {word}, {self.same:,} the same, {len(self.differences):,} not",
            f"  live {self.digest_live}  replay {self.digest_replay}",
        ]
        for one in self.differences:
            lines.append(f"  {one.kind} {one.id} {one.fan_id} by {one.rule}: {one.cause}")
            lines += [
                f"    {name}: live {there!r}, replay {here!r}"
                for name, (there, here) in one.fields.items()
            ]
        return "\n".join(lines)


def run(
    connection: Connection,
    past: Past,
    creator: str,
    rulings: Rulings,
    since: datetime,
    until: datetime,
) -> Replay:
    """Decide again what a creator's automations decided about events known in a period.

    Args:
        connection: PostgreSQL.
        past: of this creator.
        creator: its id.
        rulings: the policies: gates judge by those of each decision's moment, texts and lives are
            made by those that were in force when the rule's version became live.
        since: aware UTC.
        until: aware UTC; steps that live has taken since then are part of it.
    """
    result = Replay(creator, since, until)
    period = {"creator": creator, "since": since, "until": until}
    rows = [dict(row) for row in connection.execute(_MESSAGES, period).mappings()]
    theirs = {row["id"]: row for row in rows}
    clock = {
        (row.execution_id, row.turn): row.done_at for row in connection.execute(_STEPS, period)
    }
    decided = {row["id"]: row["decided_at"] for row in rows}
    mine: dict[str, Decision] = {}
    for rule, start, end in _versions(connection, creator, since, until):
        before = backtest.entered(past, [rule], start)
        trial = backtest.automation(
            past, [rule], rulings.at(start), start, end, before, clock=clock, decided=decided,
            in_force=rulings.at,
        )  # fmt: skip
        mine |= {d.message_id: d for d in trial.decisions}
    _compare(result, theirs, mine, past)
    return result


def _versions(
    connection: Connection, creator: str, since: datetime, until: datetime
) -> list[tuple[live.LiveAutomation, datetime, datetime]]:
    """Return the versions that were live in a period, with the part of it that was theirs."""
    rows = list(connection.execute(_VERSIONS, {"creator": creator}))
    names = [(creator, row.automation_id, row.rule_hash) for row in rows]
    known = live.versions(connection, names)
    found = []
    for name, row in zip(names, rows, strict=True):
        start, end = max(since, row.created_at), min(until, row.until or until)
        if name in known and start < end:
            found.append((known[name], start, end))
    return found


def _compare(
    result: Replay, theirs: Mapping[str, Row], mine: Mapping[str, Decision], past: Past
) -> None:
    for name in sorted(theirs.keys() | mine.keys()):
        there, here = theirs.get(name), mine.get(name)
        row = there or {"fan_id": here and here.fan_id, "source_id": here and here.source_id}
        fields = _fields(there, here) if there and here else {}
        if there and here and not fields:
            result.same += 1
            continue
        kind = "different" if there and here else "only_live" if there else "only_replay"
        cause = _cause(past, result.creator_id, there, here, fields)
        result.differences.append(
            Difference(name, row["fan_id"], row["source_id"], kind, fields, cause)
        )
    result.digest_live = _digest(_told(row) | {"id": name} for name, row in sorted(theirs.items()))
    result.digest_replay = _digest(
        _said(d, theirs.get(name)) | {"id": name} for name, d in sorted(mine.items())
    )


def _digest(rows: Iterable[Row]) -> str:
    return hashing.content([json.loads(json.dumps(row, default=_plain)) for row in rows])


def _plain(value: Any) -> Any:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)


def _told(row: Row) -> dict[str, Any]:
    """A decision as it was made, read from a row that delivery has moved on since."""
    found = {name: row[name] for name in _COMPARED}
    if not meaning.skipped(row):
        found |= {"state": "decided", "reason": None}
    return found | _moved(row)


def _said(decision: Decision, there: Row | None) -> dict[str, Any]:
    found = {name: getattr(decision, name) for name in _COMPARED}
    if decision.state != "skipped":
        found["reason"] = None
    return found | (_moved(there) if there else {})


def _moved(row: Row) -> dict[str, Any]:
    """What delivery has given a meaning of its own; a hold still shows in `earliest_at`."""
    kept = row["state"] in ("decided", "queued") or meaning.skipped(row)
    return {} if kept else {"not_before": None}


def _fields(there: Row, here: Decision) -> dict[str, tuple[Any, Any]]:
    live_, replayed = _told(there), _said(here, there)
    return {n: (live_[n], replayed[n]) for n in _COMPARED if live_[n] != replayed[n]}


def _cause(past: Past, creator: str, there: Row | None, here: Decision | None, fields: Row) -> str:
    """Say why a message came out differently, as far as what is kept can tell."""
    if there is None and here is not None:
        return "live has not decided it: it came due after the last tick, or nobody ticked"
    if here is None and there is not None:
        return _lost(past, creator, there)
    assert there is not None
    if "rule_hash" in fields:
        return "the rule or a template of it changed while the fan was on its way"
    late = _late(past, creator, there)
    if late:
        return late
    if fields.keys() <= {"content", "subject", "template_id"}:
        return "the text is made from something that was changed and is not kept"
    if fields.keys() <= {"state", "reason", "earliest_at", "not_before"}:
        return (
            "a gate answers differently: what it asks about has changed, or policies.yaml was"
            " changed without `huntaze rules apply`"
        )
    return "unknown: neither the rule nor the events explain it"


def _lost(past: Past, creator: str, there: Row) -> str:
    known = past.con.execute(
        "select 1 from past_events where creator_id = ? and event_id = ?",
        [creator, there["event_id"]],
    ).fetchone()
    if known is None:
        return f"its event {there['event_id']} is not in the lake (quarantined or not pulled)"
    return _late(past, creator, there) or "the rule's version of then is not kept, or it says no"


def _late(past: Past, creator: str, there: Row) -> str | None:
    """Name the fan's events that came while the one that decided waited for its tick."""
    if not there["at_entry"]:
        return None
    rows: Sequence[Any] = past.con.execute(
        "select event_id, seen_at from past_events where creator_id = ? and fan_id = ?"
        " and seen_at > ? and seen_at <= ? and event_id <> ? order by seen_at limit 3",
        [creator, there["fan_id"], there["known_at"], there["decided_at"], there["event_id"]],
    ).fetchall()
    late = ", ".join(f"{name} at {seen:%Y-%m-%d %H:%M:%S}" for name, seen in rows)
    return f"events that came before the tick: {late}" if late else None

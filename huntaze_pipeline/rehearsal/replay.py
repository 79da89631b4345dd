"""A period decided again, and compared byte by byte with what live decided.

Automations: entries are decided at their events, later steps and gates at the instants at which
live took them. Campaigns are `relaunch`'s. Rules and templates are the versions of then. What must
come out is the same rows; what does not is shown with its cause. Nothing is written.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline.errors import Problem
from huntaze_pipeline.rehearsal import backtest, causes, comparison
from huntaze_pipeline.rehearsal.comparison import Pairs, Row
from huntaze_pipeline.rehearsal.past import Past
from huntaze_pipeline.rehearsal.relaunch import Relaunch
from huntaze_pipeline.rehearsal.rulings import Rulings
from huntaze_pipeline.rulebook import live
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.warehouse.refusals import FAULTY, told

_VERSIONS = text(
    """
    select v.automation_id, v.rule_hash, v.created_at,
           lead(v.created_at) over (partition by v.automation_id order by v.created_at) as until
    from automation_versions v where v.creator_id = :creator
    order by v.automation_id, v.created_at
    """
)
_MESSAGES = text(
    f"""
    select {comparison.COLUMNS},
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


@dataclass
class Difference:
    """One message that did not come out the same."""

    id: str
    fan_id: str
    rule: str
    """`automations/ID` or `campaigns/ID`."""
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
    rules: dict[str, int] = field(default_factory=dict)
    """How many decisions live made, by rule."""
    digest_live: str = ""
    """Content hash of every decision that live made, in order of id."""
    digest_replay: str = ""
    differences: list[Difference] = field(default_factory=list)
    faults: list[Problem] = field(default_factory=list)
    """Versions of then that cannot be read or asked; what live decided by them is `only_live`."""

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
        if self.rules:
            told = (f"{rule} {n:,}" for rule, n in sorted(self.rules.items()))
            lines.append(f"  decided by {', '.join(told)}")
        lines += [f"  not decided again: {fault}" for fault in self.faults]
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
    """Decide again what a creator's rules decided in a period.

    Args:
        connection: PostgreSQL.
        past: of this creator.
        creator: its id.
        rulings: the policies: gates and campaigns go by those of each decision's moment, texts and
            lives of automations by those that were in force when the version became live.
        since: aware UTC; automations by their events known from then on, campaigns by their
            launch.
        until: aware UTC; what live has decided since then about either is part of it.
    """
    result = Replay(creator, since, until)
    automations = _automations(connection, past, creator, rulings, since, until, result.faults)
    _compare(result, automations, lambda *two: causes.of_automation(past, *two))
    strict = replace(past, strict=True)
    again = Relaunch(connection, strict, creator, rulings, automations.mine)
    again.run(since, until)
    campaigns = Pairs(again.theirs, again.mine)

    def cause(there: Row | None, here: Decision | None, fields: Row) -> str:
        name = there["source_id"] if there else here.source_id if here else ""
        return causes.of_campaign(again.past, again.campaigns.get(name), there, here, fields)

    _compare(result, campaigns, cause)
    result.digest_live = comparison.digest(automations.told() + campaigns.told())
    result.digest_replay = comparison.digest(automations.said() + campaigns.said())
    return result


def _automations(
    connection: Connection,
    past: Past,
    creator: str,
    rulings: Rulings,
    since: datetime,
    until: datetime,
    faults: list[Problem],
) -> Pairs:
    """Decide again what automations decided about events known in a period."""
    period = {"creator": creator, "since": since, "until": until}
    theirs = {row["id"]: dict(row) for row in connection.execute(_MESSAGES, period).mappings()}
    clock = {
        (row.execution_id, row.turn): row.done_at for row in connection.execute(_STEPS, period)
    }
    decided = {name: row["decided_at"] for name, row in theirs.items()}
    mine: dict[str, Decision] = {}
    for rule, start, end in _versions(connection, creator, since, until, faults):
        before = backtest.entered(past, [rule], start)
        try:
            trial = backtest.automation(
                past, [rule], rulings.at(start), start, end, before, clock=clock, decided=decided,
                in_force=rulings.at,
            )  # fmt: skip
        except FAULTY as error:
            faults.append(Problem(f"automation {creator}/{rule.id} {rule.rule_hash}", told(error)))
            continue
        mine |= {d.message_id: d for d in trial.decisions}
    return Pairs(theirs, mine)


def _versions(
    connection: Connection,
    creator: str,
    since: datetime,
    until: datetime,
    faults: list[Problem],
) -> list[tuple[live.LiveAutomation, datetime, datetime]]:
    """Return the versions that were live in a period, with the part of it that was theirs."""
    found = []
    for row in connection.execute(_VERSIONS, {"creator": creator}):
        start, end = max(since, row.created_at), min(until, row.until or until)
        if start < end:
            found.append(((creator, row.automation_id, row.rule_hash), start, end))
    known = live.versions(connection, [name for name, *_ in found], faults)
    return [(known[name], *period) for name, *period in found if name in known]


def _compare(
    result: Replay, pairs: Pairs, cause: Callable[[Row | None, Decision | None, Row], str]
) -> None:
    """Note what is the same, and what is not with its cause."""
    for name, there, here in pairs.both():
        fields = comparison.differing(there, here) if there and here else {}
        rule, fan = _named(there, here)
        if there:
            result.rules[rule] = result.rules.get(rule, 0) + 1
        if there and here and not fields:
            result.same += 1
            continue
        kind = "different" if there and here else "only_live" if there else "only_replay"
        why = cause(there, here, fields)
        result.differences.append(Difference(name, fan, rule, kind, fields, why))


def _named(there: Row | None, here: Decision | None) -> tuple[str, str]:
    """Return the rule and the fan of a decision."""
    if there:
        return f"{there['source']}s/{there['source_id']}", there["fan_id"]
    assert here is not None
    return f"{here.source}s/{here.source_id}", here.fan_id

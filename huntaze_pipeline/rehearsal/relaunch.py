"""The campaigns of a period launched again, each occurrence by what was known when live decided it.

Belongs here: which occurrences, the campaign and the templates of then, and what the live writer
and gates make of them. An occurrence belongs to the period in which it was launched; what those who
waited for a winner got later is part of it. Whom it meant is `attendance`'s.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline.campaigns import launch, likeness, occasion, rest, schedule
from huntaze_pipeline.campaigns.recipients import Member
from huntaze_pipeline.campaigns.variants import capped
from huntaze_pipeline.campaigns.writing import Campaign, used
from huntaze_pipeline.errors import NotFoundError, RuleError
from huntaze_pipeline.rehearsal import attendance, comparison, gatekeeper
from huntaze_pipeline.rehearsal.comparison import Row
from huntaze_pipeline.rehearsal.past import Past
from huntaze_pipeline.rehearsal.rulings import Rulings
from huntaze_pipeline.rulebook import live
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.rulebook.fields import FACTS
from huntaze_pipeline.rulebook.policies import Policies
from huntaze_pipeline.rulebook.schema import Template

_MESSAGES = text(
    f"""
    with launched as (
        select source_id, occurrence, min(decided_at) as launched_at from messages
        where creator_id = :creator and source = 'campaign' group by source_id, occurrence
        having min(decided_at) >= :since and min(decided_at) < :until
    )
    select {comparison.COLUMNS}, l.launched_at
    from messages m join launched l on l.source_id = m.source_id and l.occurrence = m.occurrence
    where m.creator_id = :creator and m.source = 'campaign'
    order by m.source_id, m.occurrence, m.decided_at, m.fan_id
    """
)
_THEN = text(
    """
    select x.decided_at as over_at,
           (select max(a.at) from audit a where a.creator_id = c.creator_id and a.target = c.id
            and a.action = 'campaign.start' and a.at <= :launched) as begun_at,
           (select a.detail -> 'from' from audit a where a.creator_id = c.creator_id
            and a.target = c.id and a.action = 'campaign.reweigh' and a.at > :at
            order by a.at, a.id limit 1) as weights
    from campaigns c
    left join experiments x on x.creator_id = c.creator_id and x.campaign_id = c.id
    where c.creator_id = :creator and c.id = :id
    """
)
_TEMPLATES = text(
    """
    select coalesce(w.body, to_jsonb(t)) as body
    from (select id from templates where creator_id = :creator
          union select id from former where creator_id = :creator and kind = 'templates') n
    left join templates t on t.creator_id = :creator and t.id = n.id
    left join lateral (
        select f.body from former f where f.creator_id = :creator and f.kind = 'templates'
            and f.id = n.id and f.until > :at order by f.until, f.n limit 1) w on true
    where coalesce(w.body, to_jsonb(t)) is not null
    """
)
_SEEN = text(
    """
    select distinct on (fan_id) fan_id, variant_id from messages
    where creator_id = :creator and source = 'campaign' and source_id = :id
      and variant_id is not null and decided_at < :at
    order by fan_id, decided_at
    """
)


@dataclass(frozen=True)
class Turn:
    """One instant at which live decided fans of an occurrence."""

    campaign: Campaign
    """As it was then."""
    at: datetime
    rows: Sequence[Row]
    """What live decided."""
    follows: bool
    """It was the turn of those who waited for a winner, not the launch."""

    @property
    def place(self) -> tuple[Any, ...]:
        """Where it stands in the order in which a tick takes its work."""
        one = self.campaign
        due = self.at if self.follows else one.due_at
        return self.at, self.follows, due, one.id, one.occurrence


@dataclass
class Relaunch:
    """What live decided by campaigns, and what came of deciding it again."""

    connection: Connection
    past: Past
    creator: str
    rulings: Rulings
    others: Mapping[str, Decision]
    """What automations have decided again, by id."""
    theirs: dict[str, Row] = field(default_factory=dict)
    mine: dict[str, Decision] = field(default_factory=dict)
    campaigns: dict[str, Campaign | None] = field(default_factory=dict)
    """As they are today; None: one that is not there any more."""

    def run(self, since: datetime, until: datetime) -> None:
        """Decide the occurrences again that were launched in a period."""
        names = {"creator": self.creator, "since": since, "until": until}
        rows = self.connection.execute(_MESSAGES, names).mappings()
        self.theirs = {row["id"]: dict(row) for row in rows}
        last = max((row["decided_at"] for row in self.theirs.values()), default=since)
        self.past.open(max(until, last + timedelta(microseconds=1)))
        turns = sorted(self._turns(), key=lambda turn: turn.place)
        for _, same in groupby(turns, key=lambda turn: turn.at):
            for n, turn in enumerate(tick := list(same)):
                unborn = {row["id"] for later in tick[n:] for row in later.rows}
                self.mine |= {d.message_id: d for d in self._decided(turn, unborn)}

    def _turns(self) -> Iterator[Turn]:
        """Yield what can be decided again: the campaign still says what it said."""
        rows = self.theirs.values()
        for (name, occurrence), found in groupby(
            rows, key=lambda row: (row["source_id"], row["occurrence"])
        ):
            for at, decided in groupby(found, key=lambda row: row["decided_at"]):
                batch = list(decided)
                launched = batch[0]["launched_at"]
                campaign = self._campaign(name, occurrence, launched, at)
                if campaign and campaign.rule_hash == batch[0]["rule_hash"]:
                    yield Turn(campaign, at, batch, at > launched)

    def _campaign(
        self, name: str, occurrence: str, launched: datetime, at: datetime
    ) -> Campaign | None:
        """Return a campaign as it was, with the occurrence that was due."""
        due = datetime.fromisoformat(occurrence) if occurrence else at
        try:
            today = launch.one(self.connection, self.creator, name, due)
        except NotFoundError:
            self.campaigns[name] = None
            return None
        self.campaigns[name] = today
        names = {"creator": self.creator, "id": name, "launched": launched, "at": at}
        row = self.connection.execute(_THEN, names).one()
        if not occurrence:  # its last start chose the instant, or kept it
            zone = today.creator.get("zone") or "UTC"
            begun = row.begun_at or today.start_at or launched
            first = schedule.first(today, today.local, begun, zone)
            today = replace(today, due_at=first or launched)
        closed = row.over_at is not None and row.over_at <= at
        weights = row.weights or {}  # what the next change of the split found
        arms = [replace(arm, weight=weights.get(arm.id, arm.weight)) for arm in today.variants]
        return replace(today, closed=closed, variants=tuple(arms))

    def _decided(self, turn: Turn, unborn: set[str]) -> list[Decision]:
        """Decide a turn with its audience, its templates and its policies of then."""
        campaign, policies = turn.campaign, self.rulings.at(turn.at)
        known = templates(self.connection, self.creator, turn.at)
        texts = json.dumps([template.plain() for template in used(campaign, known)])
        facts = {name for name in FACTS if f"fan.{name}" in texts}
        members = attendance.members(self.past, campaign.targeting, turn.at, facts)
        write = self._followed if turn.follows else self._launched
        made = write(turn, members, known, policies)
        self.past.meet((d.creator_id, d.fan_id) for d in made)
        contacts = self._contacts(unborn)
        return gatekeeper.screen(self.past, made, policies, contacts=contacts)

    def _contacts(self, unborn: set[str]) -> gatekeeper.Contacts:
        """Return the messages that really went, and were to go as it was decided."""
        found = gatekeeper.sent(self.past, None)
        for messages in found.values():
            for name in messages.keys() & unborn:
                del messages[name]
            for name, row in messages.items():
                decision = self.mine.get(name) or self.others.get(name)
                if decision is not None:  # delivery may have put it off since
                    row["not_before"] = decision.not_before
        return found

    def _launched(
        self, turn: Turn, members: list[Member], known: Mapping[str, Template], policies: Policies
    ) -> list[Decision]:
        campaign, seen = turn.campaign, dict[str, str]()
        if occasion.moored(campaign):
            names = {"creator": self.creator, "id": campaign.id, "at": turn.at}
            seen = {row.fan_id: row.variant_id for row in self.connection.execute(_SEEN, names)}
        writer = occasion.writer(campaign, known, policies, turn.at, seen)
        kept = set(capped([m.id for m in members], campaign.targeting.get("cap"), campaign.key))
        return [writer.decide(member) for member in members if member.id in kept]

    def _followed(
        self, turn: Turn, members: list[Member], known: Mapping[str, Template], policies: Policies
    ) -> list[Decision]:
        """Give those who waited what the test came to, as `rest.plan` does."""
        campaign, at = turn.campaign, turn.at
        waiting = {
            d.fan_id: d
            for d in self.mine.values()
            if (d.source_id, d.occurrence, d.state) == (campaign.id, campaign.occurrence, "held")
            and not (d.expires_at and d.expires_at <= at)
        }
        here = [member for member in members if member.id in waiting]
        left = sorted(waiting.keys() - {member.id for member in here})
        rows = [{key: getattr(waiting[fan], key) for key in rest.KEPT} for fan in left]
        writer = rest.writer(campaign, known, policies, at, self._taken(turn))
        return [writer.decide(member) for member in here] + rest.gone(campaign, rows, at)

    def _taken(self, turn: Turn) -> set[tuple[str, str]]:
        """Return the addresses that an occurrence had written to by then."""
        name = (turn.campaign.id, turn.campaign.occurrence)
        return {
            likeness.key(row["platform"], row["address"])
            for row in self.theirs.values()
            if (row["source_id"], row["occurrence"]) == name and row["decided_at"] < turn.at
            and not (row["state"] == "skipped" and row["ended_at"] <= turn.at)
        }  # fmt: skip


def templates(connection: Connection, creator: str, at: datetime) -> dict[str, Template]:
    """Return a creator's templates as they were at an instant; what cannot be read is left out."""
    found: dict[str, Template] = {}
    for body in connection.execute(_TEMPLATES, {"creator": creator, "at": at}).scalars():
        try:
            found[body["id"]] = live.template(dict(body))
        except RuleError:
            continue  # as live does
    return found

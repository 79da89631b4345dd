"""Campaigns that are due: their audience, one decision per member, and what comes next.

The audience is frozen as rows at launch. Starting and pausing by hand is `lifecycle`; when a
campaign comes again is `schedule`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import duckdb
from sqlalchemy import Connection, text

from huntaze_pipeline.campaigns import gates, schedule
from huntaze_pipeline.campaigns.recipients import Member, audience, with_facts
from huntaze_pipeline.campaigns.variants import Variant, assign, capped, held_out
from huntaze_pipeline.clock import duration
from huntaze_pipeline.rulebook import live, messages
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.rulebook.people import Address
from huntaze_pipeline.rulebook.policies import Policies
from huntaze_pipeline.rulebook.schema import Template
from huntaze_pipeline.rulebook.templates import speaks_of_facts
from huntaze_pipeline.store.outflow import FINAL


@dataclass(frozen=True)
class Campaign:
    """A campaign whose time has come."""

    creator_id: str
    id: str
    name: str
    platforms: tuple[str, ...]
    template_id: str | None
    start_at: datetime | None
    end_at: datetime | None
    recurring: str | None
    due_at: datetime
    targeting: Mapping[str, Any]
    settings: Mapping[str, Any]
    rule_hash: str
    creator: Mapping[str, Any]
    experiment_id: str | None = None
    variants: tuple[Variant, ...] = ()

    @property
    def key(self) -> str:
        """What salts this campaign's hashes."""
        return f"{self.creator_id}/{self.id}"

    @property
    def occurrence(self) -> str:
        """Which repetition this is; a campaign that goes once has none."""
        return self.due_at.isoformat() if self.recurring else ""


_COMING = """
    select c.creator_id, c.id, c.name, c.platforms, c.template_id, c.start_at, c.end_at,
           c.recurring, c.next_send_at as due_at, c.targeting, c.settings, c.rule_hash,
           jsonb_build_object('id', r.id, 'name', r.name, 'zone', r.zone, 'currency', r.currency)
               as creator,
           (select min(x.id) from experiments x
            where x.creator_id = c.creator_id and x.campaign_id = c.id) as experiment_id,
           coalesce((select jsonb_agg(jsonb_build_object(
                'id', v.id, 'weight', v.weight, 'template_id', v.template_id,
                'variables', v.variables) order by v.position, v.id)
              from variants v where v.creator_id = c.creator_id and v.campaign_id = c.id), '[]')
               as variants
    from campaigns c join creators r on r.id = c.creator_id
    where c.status in ('scheduled', 'active') and c.next_send_at <= :now
    order by c.next_send_at, c.creator_id, c.id
"""


def coming(connection: Connection, until: datetime) -> list[Campaign]:
    """Return the campaigns with an undecided occurrence up to an instant, without holding them."""
    rows = connection.execute(text(_COMING), {"now": until})
    return [_campaign(dict(row)) for row in rows.mappings()]


def due(connection: Connection, now: datetime) -> list[Campaign]:
    """Return the campaigns with an occurrence that has come and is not decided, and hold them."""
    held = text(_COMING + " for update of c skip locked")
    return [_campaign(dict(row)) for row in connection.execute(held, {"now": now}).mappings()]


def _campaign(row: dict[str, Any]) -> Campaign:
    arms = tuple(Variant(**arm) for arm in row.pop("variants"))
    return Campaign(**{**row, "platforms": tuple(row["platforms"])}, variants=arms)


def plan(
    connection: Connection,
    campaign: Campaign,
    now: datetime,
    policies: Policies,
    *,
    lake: duckdb.DuckDBPyConnection | None = None,
    snapshot_id: int | None = None,
) -> list[Decision]:
    """Return one decision per member of the audience, skips with their reasons included.

    Args:
        connection: PostgreSQL.
        campaign: one of `due`.
        now: the tick's instant.
        policies: the gates' rules.
        lake: needed by templates that speak of facts (`fan.purchases`); without it such a message
            is skipped with a render error rather than sent with a wrong number.
        snapshot_id: the lake snapshot that the segments were made from.
    """
    everyone = audience(connection, campaign.creator_id, campaign.targeting)
    kept = set(capped([m.id for m in everyone], campaign.targeting.get("cap"), campaign.key))
    members = [member for member in everyone if member.id in kept]
    templates = live.templates(connection, [campaign.creator_id]).get(campaign.creator_id, {})
    if lake is not None and any(speaks_of_facts(t) for t in _used(campaign, templates)):
        members = with_facts(connection, lake, campaign.creator_id, members)
    writer = _Writer(campaign, templates, policies, now, snapshot_id)
    return gates.screen(connection, [writer.decide(m) for m in members], policies, now)


def _used(campaign: Campaign, templates: Mapping[str, Template]) -> list[Template]:
    names = {campaign.template_id, *(arm.template_id for arm in campaign.variants)}
    return [templates[name] for name in names if name and name in templates]


@dataclass
class _Writer:
    """Decides members one after the other and remembers the addresses that are taken."""

    campaign: Campaign
    templates: Mapping[str, Template]
    policies: Policies
    now: datetime
    snapshot_id: int | None
    taken: set[tuple[str, str]] = field(default_factory=set)

    def decide(self, member: Member) -> Decision:
        campaign = self.campaign
        address = self._address(member)
        held = held_out(float(campaign.settings.get("holdout") or 0), campaign.key, member.id)
        arm = None
        if not held:
            salt = f"{campaign.creator_id}/{campaign.experiment_id or campaign.id}"
            arm = assign(campaign.variants, salt, member.id)
        name = (arm.template_id if arm else None) or campaign.template_id
        template = self.templates.get(name or "")
        message = self._message(member, address, template, arm, held)
        return self._decision(member, message, template, name, arm)

    def _address(self, member: Member) -> Address | None:
        """Prefer the first platform that would take the message now."""
        by_platform = {a.platform: a for a in member.addresses}
        there = [by_platform[p] for p in self.campaign.platforms if p in by_platform]
        return next((a for a in there if self._open(a)), there[0] if there else None)

    def _open(self, address: Address) -> bool:
        window = self.policies.platform(address.platform).reply_window
        last = address.last_inbound_at
        return window is None or (last is not None and self.now <= last + window)

    def _message(
        self,
        member: Member,
        address: Address | None,
        template: Template | None,
        arm: Variant | None,
        held: bool,
    ) -> messages.Message:
        if address is None:
            return messages.Message(self.campaign.platforms[0], reason="no_address")
        blank = messages.Message(address.platform, address.account_id, address.address)
        if held:
            return _because(blank, "holdout")
        if (address.platform, address.normalised) in self.taken:
            return _because(blank, "duplicate_address")
        self.taken.add((address.platform, address.normalised))
        if template is None:
            return _because(blank, "unknown_template")
        given = {
            **(self.campaign.settings.get("variables") or {}),
            **(arm.variables if arm else {}),
        }
        about = {"id": self.campaign.id, "name": self.campaign.name}
        recipient = messages.Recipient(
            fan=member.row, addresses=member.addresses, creator=self.campaign.creator,
            campaign=about,
        )  # fmt: skip
        return messages.write(template, address, recipient, given, self.policies)

    def _decision(
        self,
        member: Member,
        message: messages.Message,
        template: Template | None,
        template_id: str | None,
        arm: Variant | None,
    ) -> Decision:
        c, settings = self.campaign, self.campaign.settings
        manner = template.settings if template else None
        life = _life(settings.get("expires_after")) or (manner.expires_after if manner else None)
        return Decision(
            creator_id=c.creator_id, source="campaign", source_id=c.id, rule_hash=c.rule_hash,
            fan_id=member.id, occurrence=c.occurrence, platform=message.platform,
            account_id=message.account_id, address=message.address, content=message.content,
            subject=message.subject, template_id=template_id,
            variant_id=arm.id if arm else None,
            priority=settings.get("priority") or (manner.priority if manner else "medium"),
            topic=settings.get("topic") or (manner.topic if manner else "marketing"),
            state="skipped" if message.reason else "decided", reason=message.reason,
            not_before=self.now,
            expires_at=self.now + (life or self.policies.expires_after),
            decided_at=self.now, snapshot_id=self.snapshot_id,
        )  # fmt: skip


def _because(message: messages.Message, reason: str) -> messages.Message:
    return messages.Message(message.platform, message.account_id, message.address, reason=reason)


def _life(value: Any) -> timedelta | None:
    """Read a message's life from settings: a typed duration, or seconds as rules store it."""
    if value is None or value == "":
        return None
    return timedelta(seconds=value) if isinstance(value, int | float) else duration(str(value))


_ADVANCE = text(
    """
    update campaigns set status = 'active', next_send_at = :next,
           start_at = coalesce(start_at, :due), updated_at = :now
    where creator_id = :creator_id and id = :id and next_send_at = :due
      and status in ('scheduled', 'active')
    """
)
_STARTED = text(
    """
    update experiments set started_at = :now
    where creator_id = :creator_id and campaign_id = :id and started_at is null
    """
)
_SETTLE = text(
    """
    update campaigns c set status = 'completed', updated_at = :now
    where c.status = 'active' and c.next_send_at is null and c.source not like 'import:%'
      and (cast(:creator_id as text) is null or (c.creator_id = :creator_id and c.id = :id))
      and not exists (select 1 from messages m where m.creator_id = c.creator_id
                      and m.source = 'campaign' and m.source_id = c.id
                      and m.state <> all(:final))
    """
)


def advance(connection: Connection, campaign: Campaign, now: datetime) -> datetime | None:
    """Note that this occurrence is decided; return the next one, or None when there is none.

    Occurrences that were missed meanwhile are passed over: nobody gets two of them at once.
    """
    following = None
    if campaign.recurring:
        following = schedule.following(
            campaign.recurring,
            campaign.start_at or campaign.due_at,
            max(now, campaign.due_at),
            campaign.creator.get("zone") or "UTC",
            campaign.end_at,
        )
    names = {"creator_id": campaign.creator_id, "id": campaign.id, "now": now}
    connection.execute(_ADVANCE, {**names, "due": campaign.due_at, "next": following})
    if campaign.experiment_id:
        connection.execute(_STARTED, names)
    return following


def settle(connection: Connection, now: datetime, campaign: Campaign | None = None) -> int:
    """Complete the campaigns that have nothing left to decide or to send; return how many."""
    names: Sequence[str | None] = (campaign.creator_id, campaign.id) if campaign else (None, None)
    values = {"creator_id": names[0], "id": names[1], "now": now, "final": list(FINAL)}
    return connection.execute(_SETTLE, values).rowcount

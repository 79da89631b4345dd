"""What one member of a campaign's audience gets: its place in the test, and the message.

Pure: members, templates and the clock are passed in. Who is in the audience and when it is decided
is `launch`; what becomes of those who wait for a winner is `rest`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from typing import Any

from huntaze_pipeline import clock
from huntaze_pipeline.campaigns import likeness, schedule
from huntaze_pipeline.campaigns.recipients import Member
from huntaze_pipeline.campaigns.variants import Variant, assign, held_out, in_test
from huntaze_pipeline.clock import duration
from huntaze_pipeline.rulebook import messages
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.rulebook.people import Address
from huntaze_pipeline.rulebook.policies import Policies
from huntaze_pipeline.rulebook.schema import Template

WAITS = "awaits_winner"
"""Why a row is held."""
MISSED = "missed_local_time"
"""Why a fan is skipped: its clock was past the time, and its next day has a message of its own."""


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
    local: time | None = None
    """It goes at this time of each fan's own clock."""
    experiment_id: str | None = None
    variants: tuple[Variant, ...] = ()
    share: float = 1.0
    """Part of the audience that is in the test."""
    closed: bool = False
    """Whether the test is over: then nobody new enters it."""
    follows: str | None = None
    """What everybody gets from then on: the winner, else the fallback; None: nothing."""

    @property
    def key(self) -> str:
        """What salts this campaign's hashes."""
        return f"{self.creator_id}/{self.id}"

    @property
    def salt(self) -> str:
        """What salts the hashes of its test."""
        return f"{self.creator_id}/{self.experiment_id or self.id}"

    @property
    def occurrence(self) -> str:
        """Which repetition this is; a campaign that goes once has none."""
        return self.due_at.isoformat() if self.recurring else ""


def used(campaign: Campaign, templates: Mapping[str, Template]) -> list[Template]:
    """Return the templates that a campaign may write with."""
    names = {campaign.template_id, *(arm.template_id for arm in campaign.variants)}
    return [templates[name] for name in names if name and name in templates]


@dataclass
class Writer:
    """Decides members one after the other and remembers the addresses that are taken."""

    campaign: Campaign
    templates: Mapping[str, Template]
    policies: Policies
    now: datetime
    snapshot_id: int | None
    until: datetime | None = None
    """When those who wait for a winner have waited too long."""
    seen: Mapping[str, str] = field(default_factory=dict)
    """The arms that fans were in before, by fan: nobody changes arms."""
    taken: set[tuple[str, str]] = field(default_factory=set)
    following: date | None = None
    """For fans' own clocks: the day of the next repetition."""

    def decide(self, member: Member) -> Decision:
        """Return the decision on one member."""
        campaign = self.campaign
        place, when = self._place(member.id), self._when(member)
        address = self._address(member, when or self.now)
        name = (place.arm.template_id if place.arm else None) or campaign.template_id
        template = self.templates.get(name or "")
        message = self._message(member, address, template, place)
        if place.waits and not message.reason:
            return self._held(member, message)
        if when is None and not message.reason:
            message = _because(message, MISSED)
        decision = self._decision(member, message, template, name, when or self.now)
        arm = place.arm.id if place.arm else None
        return replace(
            decision,
            variant_id=None if campaign.closed else arm,
            followed_variant_id=arm if campaign.closed else None,
        )

    def _place(self, fan: str) -> "_Place":
        """Say where a fan stands: kept out, in an arm, waiting, or behind the test's outcome."""
        campaign = self.campaign
        if held_out(float(campaign.settings.get("holdout") or 0), campaign.key, fan):
            return _Place(reason="holdout")
        if campaign.closed:
            arm = self._arm(campaign.follows)
            return _Place(arm, None if arm else "no_winner")
        if not campaign.variants:
            return _Place()
        if not in_test(campaign.share, campaign.salt, fan):
            return _Place(waits=True)
        known = self._arm(self.seen.get(fan))
        return _Place(known or assign(campaign.variants, campaign.salt, fan))

    def _arm(self, name: str | None) -> Variant | None:
        return next((arm for arm in self.campaign.variants if arm.id == name), None)

    def _when(self, member: Member) -> datetime | None:
        """Return when a member's message goes; None: its own clock has passed the time."""
        campaign = self.campaign
        if campaign.local is None:
            return self.now
        where = clock.zone(member.row.get("zone"), campaign.creator.get("zone") or "UTC")
        day = schedule.day_of(campaign.due_at)
        return schedule.on_clock(day, campaign.local, where, self.now, self.following)

    def _address(self, member: Member, when: datetime) -> Address | None:
        """Prefer the first platform that would take the message then."""
        by_platform = {a.platform: a for a in member.addresses}
        there = [by_platform[p] for p in self.campaign.platforms if p in by_platform]
        return next((a for a in there if self._open(a, when)), there[0] if there else None)

    def _open(self, address: Address, when: datetime) -> bool:
        window = self.policies.platform(address.platform).reply_window
        last = address.last_inbound_at
        return window is None or (last is not None and when <= last + window)

    def _message(
        self,
        member: Member,
        address: Address | None,
        template: Template | None,
        place: "_Place",
    ) -> messages.Message:
        if address is None:
            return messages.Message(self.campaign.platforms[0], reason="no_address")
        blank = messages.Message(address.platform, address.account_id, address.address)
        if place.reason:
            return _because(blank, place.reason)
        alike = likeness.key(address.platform, address.normalised)
        if alike in self.taken:
            return _because(blank, "duplicate_address")
        self.taken.add(alike)
        if place.waits:
            return blank
        if template is None:
            return _because(blank, "unknown_template")
        given = {
            **(self.campaign.settings.get("variables") or {}),
            **(place.arm.variables if place.arm else {}),
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
        when: datetime,
    ) -> Decision:
        c, settings = self.campaign, self.campaign.settings
        manner = template.settings if template else None
        life = _life(settings.get("expires_after")) or (manner.expires_after if manner else None)
        expires = when + (life or self.policies.expires_after)
        return Decision(
            creator_id=c.creator_id, source="campaign", source_id=c.id, rule_hash=c.rule_hash,
            fan_id=member.id, occurrence=c.occurrence, platform=message.platform,
            account_id=message.account_id, address=message.address, content=message.content,
            subject=message.subject, template_id=template_id,
            priority=settings.get("priority") or (manner.priority if manner else "medium"),
            topic=settings.get("topic") or (manner.topic if manner else "marketing"),
            state="skipped" if message.reason else "decided", reason=message.reason,
            not_before=when, expires_at=min(expires, c.end_at) if c.end_at else expires,
            decided_at=self.now, snapshot_id=self.snapshot_id,
        )  # fmt: skip

    def _held(self, member: Member, blank: messages.Message) -> Decision:
        """A row that says nothing yet; it is written anew, gates and all, when it is released."""
        c = self.campaign
        return Decision(
            creator_id=c.creator_id, source="campaign", source_id=c.id, rule_hash=c.rule_hash,
            fan_id=member.id, occurrence=c.occurrence, platform=blank.platform,
            account_id=blank.account_id, address=blank.address, content="", state="held",
            reason=WAITS, not_before=self.now, expires_at=self.until, decided_at=self.now,
            snapshot_id=self.snapshot_id,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a fan stands in a campaign."""

    arm: Variant | None = None
    reason: str | None = None
    """Why nothing is sent."""
    waits: bool = False
    """Outside the test, until it has a winner."""


def _because(message: messages.Message, reason: str) -> messages.Message:
    return messages.Message(message.platform, message.account_id, message.address, reason=reason)


def _life(value: Any) -> timedelta | None:
    """Read a message's life from settings: a typed duration, or seconds as rules store it."""
    if value is None or value == "":
        return None
    return timedelta(seconds=value) if isinstance(value, int | float) else duration(str(value))

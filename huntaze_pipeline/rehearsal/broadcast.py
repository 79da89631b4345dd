"""A campaign of a rehearsal: what its file says, when it comes, whom it is for, who decides.

Belongs here: what `registry`, `lifecycle` and `launch` do by way of PostgreSQL, done in memory with
the same `schedule`, `occasion`, `writing` and `variants`. The gates and the clock are the world's.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from huntaze_pipeline.campaigns import launch, likeness, occasion, recipients, rest, schedule
from huntaze_pipeline.campaigns.recipients import Member
from huntaze_pipeline.campaigns.variants import capped
from huntaze_pipeline.campaigns.writing import Campaign, Writer
from huntaze_pipeline.rulebook import references, registry
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.rulebook.loader import Rulebook
from huntaze_pipeline.rulebook.policies import Policies
from huntaze_pipeline.rulebook.schema import Template

CAP = "cap"
"""Why a fan of the segments is not in the audience: there are enough others."""


def planned(
    book: Rulebook, name: str, creator: Mapping[str, Any], now: datetime
) -> Campaign | None:
    """Return a file's campaign as if it were started now; None: it never comes before its end.

    Args:
        book: the checked files.
        name: the campaign's id.
        creator: id, name, zone and currency.
        now: aware UTC.
    """
    return coming(made(book, name, creator, now), now)


def coming(campaign: Campaign, now: datetime) -> Campaign | None:
    """Return a campaign as if it were started now; None: it never comes before its end."""
    if campaign.end_at is not None and campaign.end_at <= now:
        return None
    due = schedule.first(campaign, campaign.local, now, campaign.creator["zone"])
    return due and replace(campaign, due_at=due, start_at=campaign.start_at or now)


def made(book: Rulebook, name: str, creator: Mapping[str, Any], now: datetime) -> Campaign:
    """Return a file's campaign, due now."""
    rule = book.campaigns[name]
    values = registry.campaign_values(rule, creator["zone"])
    arms = [
        {"id": arm.id, "weight": arm.weight, "template_id": arm.template,
         "variables": arm.variables}
        for arm in rule.variants
    ]  # fmt: skip
    test = rule.experiment
    wanted = ("name", "platforms", "template_id", "end_at", "recurring", "targeting", "settings")
    row = {key: values[key] for key in wanted} | {
        "creator_id": creator["id"], "id": name, "start_at": values["start_at"], "due_at": now,
        "rule_hash": book.hash("campaigns", name), "local": values["local_time"],
        "creator": creator, "experiment_id": name if test else None,
        "share": test.share if test else 1.0, "variants": arms,
    }  # fmt: skip
    return launch.campaign(row)


@dataclass
class Decided:
    """What came of one occurrence, before the gates."""

    decisions: list[Decision]
    outside: dict[str, str] = field(default_factory=dict)
    """Why fans are not in the audience, by id: `audience`, `excluded` or `cap`."""


def decide(
    campaign: Campaign,
    writer: Writer,
    people: Sequence[tuple[Member, Collection[str]]],
) -> Decided:
    """Decide an occurrence for some people.

    Args:
        campaign: with the occurrence that is due.
        writer: who decides (`occasion.writer`).
        people: fans, in order of their ids, with the segments that they are in.
    """
    outside = {
        member.id: why
        for member, segments in people
        if (why := recipients.outside(segments, campaign.targeting)) is not None
    }
    inside = [member for member, _ in people if member.id not in outside]
    kept = set(capped([m.id for m in inside], campaign.targeting.get("cap"), campaign.key))
    outside |= {member.id: CAP for member in inside if member.id not in kept}
    return Decided([writer.decide(member) for member in inside if member.id in kept], outside)


@dataclass
class Broadcast:
    """A campaign that has been started in a world."""

    campaign: Campaign
    templates: Mapping[str, Template]
    due: datetime | None
    """When it comes next."""
    begun: bool = False
    """Whether it has come once."""
    seen: dict[str, str] = field(default_factory=dict)
    """The arms that fans are in."""
    held: list[Decision] = field(default_factory=list)
    """Those who wait for a winner."""
    taken: set[tuple[str, str]] = field(default_factory=set)

    @classmethod
    def of(cls, book: Rulebook, campaign: Campaign) -> "Broadcast":
        """Start a campaign of the files (`planned`)."""
        rule = book.campaigns[campaign.id]
        known = {name: book.templates[name] for name in references.templates_of(rule)}
        return cls(campaign, known, campaign.due_at)

    def come(
        self, people: Sequence[tuple[Member, Collection[str]]], policies: Policies, now: datetime
    ) -> Decided:
        """Decide the occurrence that is due, and look for the next one."""
        assert self.due is not None
        self.campaign = campaign = replace(self.campaign, due_at=self.due)
        writer = occasion.writer(campaign, self.templates, policies, now, self.seen)
        found = decide(campaign, writer, people)
        for decision in found.decisions:
            if decision.variant_id:
                self.seen.setdefault(decision.fan_id, decision.variant_id)
        self.held = [d for d in found.decisions if d.state == "held"]
        self.begun, self.due = True, occasion.following(campaign, now)
        return found

    def settled(
        self,
        arm: str | None,
        people: Sequence[tuple[Member, Collection[str]]],
        policies: Policies,
        now: datetime,
    ) -> list[Decision]:
        """End the test as `rest.plan` does: those who waited get this arm; None: nothing."""
        self.campaign = campaign = replace(self.campaign, closed=True, follows=arm)
        waiting = {d.fan_id: d for d in self.held if not d.expires_at or d.expires_at > now}
        self.held = []
        here = [member for member, segments in people if member.id in waiting
                and recipients.outside(segments, campaign.targeting) is None]  # fmt: skip
        writer = rest.writer(campaign, self.templates, policies, now, self.taken)
        gone = sorted(set(waiting) - {member.id for member in here})
        rows = [{key: getattr(waiting[name], key) for key in rest.KEPT} for name in gone]
        return [writer.decide(member) for member in here] + rest.gone(campaign, rows, now)

    def note(self, decisions: Iterable[Decision]) -> None:
        """Note the addresses that an occurrence has taken, as `rest` reads them."""
        going = (d for d in decisions if d.state == "decided")
        self.taken = {likeness.key(d.platform, d.address) for d in going}

"""Whether a campaign's words are there for its whole audience, before the first message is queued.

A template that needs nothing of a fan is ready without a look at anybody. Facts from the lake
(`fan.purchases`) always have a value or are told by `forecast`, which reads them.
"""

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from huntaze_pipeline.campaigns import launch, lookup
from huntaze_pipeline.campaigns.recipients import Member
from huntaze_pipeline.campaigns.writing import Campaign, used
from huntaze_pipeline.errors import Problem, Problems
from huntaze_pipeline.rulebook import templates
from huntaze_pipeline.rulebook.fields import FACTS
from huntaze_pipeline.rulebook.policies import Policies
from huntaze_pipeline.rulebook.references import SAMPLE
from huntaze_pipeline.rulebook.schema import Template

_NAMED = 5


@dataclass(frozen=True, slots=True)
class Lack:
    """Something that fans of an audience cannot be written to without, and how many lack it."""

    what: str
    """`fan.attributes.size has no value`"""
    fans: tuple[str, ...]
    """All their ids, in order."""

    def __str__(self) -> str:
        named = ", ".join(self.fans[:_NAMED]) + (", …" if len(self.fans) > _NAMED else "")
        return f"{self.what} for {len(self.fans):,} of the audience ({named})"


def require(
    connection: Connection, creator_id: str, campaign_id: str, policies: Policies, now: datetime
) -> None:
    """Refuse to start a draft that could not be written to everybody it is for.

    Raises:
        NotFoundError: there is no such campaign.
        Problems: fans lack words of its template; every word, with the fans.
    """
    if lookup.get(connection, creator_id, campaign_id).status != "draft":
        return  # what was started once is resumed, or is told that it cannot be
    campaign = launch.one(connection, creator_id, campaign_id, now)
    if lacks := lacking(connection, campaign, policies, now):
        raise Problems([Problem("audience", str(lack)) for lack in lacks])


def lacking(
    connection: Connection, campaign: Campaign, policies: Policies, now: datetime
) -> list[Lack]:
    """Return what fans of a campaign's audience lack, what most of them lack first."""
    writer = launch.writer(connection, campaign, policies, now, None)
    if not _words(campaign, used(campaign, writer.templates)):
        return []
    groups: dict[str, list[str]] = defaultdict(list)
    for member in launch.members(connection, campaign):
        decision = writer.decide(_with_facts(member))
        kind, _, what = (decision.reason or "").partition(": ")
        if kind in ("render_error", "too_long"):
            groups[what if kind == "render_error" else f"the text: {what}"].append(member.id)
    lacks = [Lack(what, tuple(fans)) for what, fans in groups.items()]
    return sorted(lacks, key=lambda lack: (-len(lack.fans), lack.what))


def _words(campaign: Campaign, texts: list[Template]) -> set[str]:
    """Return the words of the templates that some fan may lack."""
    given = set(campaign.settings.get("variables") or {})
    shared = [set(arm.variables) for arm in campaign.variants]
    given |= set.intersection(*shared) if shared else set()
    facts = {f"fan.{name}" for name in FACTS}
    return {word for text in texts for word in templates.needs(text, given)} - facts


def _with_facts(member: Member) -> Member:
    known = {name: SAMPLE["fan"][name] for name in FACTS if name in SAMPLE["fan"]}
    return replace(member, row={**known, **member.row})

"""A campaign over the past: its audience of then, decided by the live writer and gates.

Belongs here: which moments, who, and what would have been decided. What it would have meant is
`meaning`'s. Segments are asked of what was known at each moment.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from huntaze_pipeline.campaigns import occasion, recipients, schedule
from huntaze_pipeline.campaigns.recipients import Member
from huntaze_pipeline.campaigns.writing import Campaign, used
from huntaze_pipeline.errors import ConflictError, NotFoundError
from huntaze_pipeline.rehearsal import backtest, broadcast, gatekeeper, muster
from huntaze_pipeline.rehearsal.past import Past
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.rulebook.loader import Rulebook
from huntaze_pipeline.rulebook.policies import Policies
from huntaze_pipeline.rulebook.schema import Segment, Template

LIMIT = 400
"""Occurrences that one backtest decides at most."""
_FIELD = re.compile(r"\bfan\.(\w+)")


@dataclass(frozen=True)
class Script:
    """One creator's campaign and what it goes by: as files say it, or as it is live."""

    campaign: Campaign
    templates: Mapping[str, Template]
    segments: Mapping[str, Segment]

    @classmethod
    def filed(
        cls, book: Rulebook, name: str, creator: Mapping[str, Any], now: datetime
    ) -> "Script":
        """Return a campaign of the files, due now."""
        made = broadcast.made(book, name, creator, now)
        return cls(made, book.templates, book.segments)

    def due(self, campaign: Campaign) -> "Script":
        """Return the same with another occurrence."""
        return replace(self, campaign=campaign)


@dataclass
class Mailing:
    """What a campaign would have done."""

    since: datetime
    until: datetime
    occurrences: list[dict[str, Any]] = field(default_factory=list)
    """Each with creator, instant, fans known then, audience and who was not meant."""
    decisions: list[Decision] = field(default_factory=list)
    """In the order of their moments, after the gates."""


def at(script: Script, moment: datetime) -> Script:
    """Return a campaign as if it had been started at a moment, for once."""
    made = script.campaign
    ends = made.end_at if made.end_at and made.end_at > moment else None
    once = replace(made, start_at=moment, end_at=ends, recurring=None)
    due = schedule.first(once, once.local, moment, made.creator["zone"])
    return script.due(replace(once, due_at=due or moment))


def occurrences(script: Script, since: datetime, until: datetime) -> list[Script]:
    """Return the occurrences that a schedule has from one instant to before another.

    Raises:
        NotFoundError: it has none, and why.
        ConflictError: there are too many.
    """
    made = script.campaign
    name = made.id
    if made.start_at is None and not made.recurring and not made.local:
        raise NotFoundError(
            f"campaign {name!r} has no schedule: say when it would have gone with --at"
        )
    coming = broadcast.coming(made, since)
    if coming and not made.recurring and coming.start_at and coming.start_at < since:
        coming = None
    scripts: list[Script] = []
    while coming is not None and coming.due_at < until:
        scripts.append(script.due(coming))
        due = occasion.following(coming, coming.due_at)
        coming = due and replace(coming, due_at=due)
        if len(scripts) > LIMIT:
            raise ConflictError(
                f"campaign {name!r} comes more than {LIMIT} times: choose a shorter period"
            )
    if not scripts:
        raise NotFoundError(
            f"campaign {name!r} does not come from {since.isoformat()} to {until.isoformat()}:"
            " its schedule says so; another period, or one moment with --at"
        )
    return scripts


def run(
    past: Past, scripts: Sequence[Script], policies: Policies, since: datetime, until: datetime
) -> Mailing:
    """Decide occurrences of one campaign, of one creator or of several, by what was known then.

    Args:
        past: opened beyond the last occurrence.
        scripts: each with the creator and the instant at which it was due.
        policies: what holds for every message.
        since: of the period that is told.
        until: of the period that is told.
    """
    mailing = Mailing(since, until)
    imported: set[str] = set()
    seen: dict[str, dict[str, str]] = {}
    for script in sorted(scripts, key=lambda s: (s.campaign.due_at, s.campaign.creator_id)):
        arms = seen.setdefault(script.campaign.creator_id, {})
        imported |= _one(past, script, policies, arms, mailing)
    past.meet((d.creator_id, d.fan_id) for d in mailing.decisions)
    rule = ("campaign", scripts[0].campaign.id) if scripts else None
    mailing.decisions = gatekeeper.screen(
        past, mailing.decisions, policies, imported=imported, instead_of=rule
    )
    return mailing


def _one(
    past: Past, script: Script, policies: Policies, arms: dict[str, str], mailing: Mailing
) -> set[str]:
    """Decide one occurrence; return the messages to fans whose history came from a file."""
    campaign, everybody = script.campaign, past.creators
    texts = [asdict(campaign), *(t.plain() for t in used(campaign, script.templates))]
    spoken = _FIELD.findall(json.dumps(texts, default=str))
    aims = set(recipients.spoken_of(campaign.targeting))
    past.creators = [campaign.creator_id]
    order = muster.gather(past, [campaign.due_at], script.segments, aims, spoken)
    people = backtest.addressed(past).addresses
    rows = muster.rows(past)
    past.creators = everybody
    crowd = [
        (Member(row["fan_id"], row, people.get((campaign.creator_id, row["fan_id"]), [])),
         {order[hit] for hit in row["hits"] if hit is not None})
        for row in rows
    ]  # fmt: skip
    writer = occasion.writer(campaign, script.templates, policies, campaign.due_at, arms)
    decided = broadcast.decide(campaign, writer, crowd)
    for decision in decided.decisions:
        if decision.variant_id:
            arms.setdefault(decision.fan_id, decision.variant_id)
    mailing.decisions += decided.decisions
    mailing.occurrences.append(
        {
            "creator_id": campaign.creator_id, "at": campaign.due_at, "fans": len(rows),
            "audience": len(decided.decisions),
            "outside": dict(Counter(decided.outside.values()).most_common()),
        }
    )  # fmt: skip
    filed = {row["fan_id"] for row in rows if row["imported"]}
    return {d.message_id for d in decided.decisions if d.fan_id in filed}

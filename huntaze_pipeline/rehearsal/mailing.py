"""A campaign over the past: its audience of then, decided by the live writer and gates.

Belongs here: which moments, who, and what would have been decided. What it would have meant is
`meaning`'s. Segments are those of the files, asked of what was known at each moment.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from huntaze_pipeline.campaigns import occasion, schedule
from huntaze_pipeline.campaigns.recipients import Member
from huntaze_pipeline.campaigns.writing import Campaign
from huntaze_pipeline.errors import ConflictError, NotFoundError
from huntaze_pipeline.rehearsal import backtest, broadcast, gatekeeper, muster
from huntaze_pipeline.rehearsal.past import Past
from huntaze_pipeline.rulebook import references
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.rulebook.loader import Rulebook

LIMIT = 400
"""Occurrences that one backtest decides at most."""
_FIELD = re.compile(r"\bfan\.(\w+)")


@dataclass
class Mailing:
    """What a campaign would have done."""

    since: datetime
    until: datetime
    occurrences: list[dict[str, Any]] = field(default_factory=list)
    """Each with creator, instant, fans known then, audience and who was not meant."""
    decisions: list[Decision] = field(default_factory=list)
    """In the order of their moments, after the gates."""


def at(book: Rulebook, name: str, creator: Mapping[str, Any], moment: datetime) -> Campaign:
    """Return a file's campaign as if it had been started at a moment, for once."""
    made = broadcast.made(book, name, creator, moment)
    ends = made.end_at if made.end_at and made.end_at > moment else None
    once = replace(made, start_at=moment, end_at=ends, recurring=None)
    due = schedule.first(once, once.local, moment, creator["zone"])
    return replace(once, due_at=due or moment)


def occurrences(
    book: Rulebook, name: str, creator: Mapping[str, Any], since: datetime, until: datetime
) -> list[Campaign]:
    """Return the occurrences that a file's schedule has from one instant to before another.

    Raises:
        NotFoundError: it has none, and why.
        ConflictError: there are too many.
    """
    plan = book.campaigns[name].schedule
    if plan.start is None and not plan.recurring and not plan.local:
        raise NotFoundError(
            f"campaign {name!r} has no schedule: say when it would have gone with --at"
        )
    coming = broadcast.planned(book, name, creator, since)
    if coming and not plan.recurring and coming.start_at and coming.start_at < since:
        coming = None
    found: list[Campaign] = []
    while coming is not None and coming.due_at < until:
        found.append(coming)
        due = occasion.following(coming, coming.due_at)
        coming = due and replace(coming, due_at=due)
        if len(found) > LIMIT:
            raise ConflictError(
                f"campaign {name!r} comes more than {LIMIT} times: choose a shorter period"
            )
    if not found:
        raise NotFoundError(
            f"campaign {name!r} does not come from {since.isoformat()} to {until.isoformat()}:"
            " its schedule says so; another period, or one moment with --at"
        )
    return found


def run(
    past: Past, book: Rulebook, name: str, campaigns: list[Campaign],
    since: datetime, until: datetime,
) -> Mailing:  # fmt: skip
    """Decide occurrences of one campaign, of one creator or of several, by what was known then.

    Args:
        past: opened beyond the last occurrence.
        book: the checked files; segments, templates and policies are theirs.
        name: the campaign's id.
        campaigns: each with the creator and the instant at which it was due.
        since: of the period that is told.
        until: of the period that is told.
    """
    found = Mailing(since, until)
    imported: set[str] = set()
    seen: dict[str, dict[str, str]] = {}
    for campaign in sorted(campaigns, key=lambda c: (c.due_at, c.creator_id)):
        arms = seen.setdefault(campaign.creator_id, {})
        imported |= _one(past, book, name, campaign, arms, found)
    past.meet((d.creator_id, d.fan_id) for d in found.decisions)
    found.decisions = gatekeeper.screen(
        past, found.decisions, book.policies, imported=imported, instead_of=("campaign", name)
    )
    return found


def _one(
    past: Past, book: Rulebook, name: str, campaign: Campaign, arms: dict[str, str], found: Mailing
) -> set[str]:
    """Decide one occurrence; return the messages to fans whose history came from a file."""
    rule, everybody = book.campaigns[name], past.creators
    used = {t: book.templates[t] for t in references.templates_of(rule)}
    texts = json.dumps([rule.plain(), *(t.plain() for t in used.values())])
    aims = {*rule.targeting.segments, *rule.targeting.exclude}
    past.creators = [campaign.creator_id]
    order = muster.gather(past, [campaign.due_at], book.segments, aims, _FIELD.findall(texts))
    people = backtest.addressed(past).addresses
    rows = muster.rows(past)
    past.creators = everybody
    crowd = [
        (Member(row["fan_id"], row, people.get((campaign.creator_id, row["fan_id"]), [])),
         {order[hit] for hit in row["hits"] if hit is not None})
        for row in rows
    ]  # fmt: skip
    writer = occasion.writer(campaign, used, book.policies, campaign.due_at, arms)
    decided = broadcast.decide(campaign, writer, crowd)
    for decision in decided.decisions:
        if decision.variant_id:
            arms.setdefault(decision.fan_id, decision.variant_id)
    found.decisions += decided.decisions
    found.occurrences.append(
        {
            "creator_id": campaign.creator_id, "at": campaign.due_at, "fans": len(rows),
            "audience": len(decided.decisions),
            "outside": dict(Counter(decided.outside.values()).most_common()),
        }
    )  # fmt: skip
    filed = {row["fan_id"] for row in rows if row["imported"]}
    return {d.message_id for d in decided.decisions if d.fan_id in filed}

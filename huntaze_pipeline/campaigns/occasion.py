"""One occurrence of a campaign: who decides its members, and which occurrence is behind it.

Pure: live launches, tests and backtests all begin here. Reading what is due is `launch`, the
calendar `schedule`.
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta

from huntaze_pipeline.campaigns import schedule
from huntaze_pipeline.campaigns.writing import Campaign, Writer
from huntaze_pipeline.rulebook.policies import Policies
from huntaze_pipeline.rulebook.schema import Template


def writer(
    campaign: Campaign,
    templates: Mapping[str, Template],
    policies: Policies,
    now: datetime,
    seen: Mapping[str, str],
    snapshot_id: int | None = None,
) -> Writer:
    """Return who decides the members of an occurrence.

    Args:
        campaign: with the occurrence that is due.
        templates: those that it may write with.
        policies: the gates' rules.
        now: the tick's instant.
        seen: the arms of earlier occurrences, by fan.
        snapshot_id: the lake snapshot that the segments were made from.
    """
    return Writer(
        campaign, templates, policies, now, snapshot_id, _until(campaign, now),
        seen if moored(campaign) else {}, following=next_day(campaign),
    )  # fmt: skip


def moored(campaign: Campaign) -> bool:
    """Say whether fans stay in the arm that they were in before: a new split moves nobody."""
    return bool(campaign.recurring and campaign.variants and not campaign.closed)


def _until(campaign: Campaign, now: datetime) -> datetime | None:
    """Return when waiting for a winner ends: with the campaign, or when it comes again."""
    ends = [at for at in (campaign.end_at, following(campaign, now)) if at is not None]
    return min(ends, default=None)


def next_day(campaign: Campaign, after: date | None = None) -> date | None:
    """Return the day of the repetition behind the one that is due, for fans' own clocks."""
    if campaign.local is None or not campaign.recurring:
        return None
    return schedule.following_day(
        campaign.recurring, campaign.start_at or campaign.due_at,
        after or schedule.day_of(campaign.due_at), campaign.creator.get("zone") or "UTC",
        campaign.local, campaign.end_at,
    )  # fmt: skip


def following(campaign: Campaign, now: datetime) -> datetime | None:
    """Return the occurrence behind the one that is due, passing over what was missed by `now`."""
    if not campaign.recurring:
        return None
    if campaign.local is not None:
        today = schedule.day_of(now)
        if schedule.lead(today, campaign.local) > now:
            today -= timedelta(days=1)
        day = next_day(campaign, max(schedule.day_of(campaign.due_at), today))
        return day and schedule.lead(day, campaign.local)
    return schedule.following(
        campaign.recurring,
        campaign.start_at or campaign.due_at,
        max(now, campaign.due_at),
        campaign.creator.get("zone") or "UTC",
        campaign.end_at,
    )

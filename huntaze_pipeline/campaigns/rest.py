"""Those who wait for a test's winner: released with it, or with the fallback, or expired.

They were put in no arm, are counted in none, and pass the gates when they are released, not before.
A row leaves `held` once, in one transaction with its message: after a crash the next tick finds
either all of it or none.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, time
from typing import Any

import duckdb
from sqlalchemy import Connection, text

from huntaze_pipeline import clock
from huntaze_pipeline.campaigns import launch, likeness, occasion, schedule
from huntaze_pipeline.campaigns.recipients import audience
from huntaze_pipeline.campaigns.writing import Campaign, Writer
from huntaze_pipeline.rulebook import live
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.rulebook.policies import Policies
from huntaze_pipeline.rulebook.schema import Template

GONE = "left_audience"
"""Why a fan who waited is skipped: no longer in the segments that the campaign is for."""
_EXPIRE = text(
    """
    update messages set state = 'expired', reason = 'expired', ended_at = :now
    where state = 'held' and expires_at <= :now
    """
)
_READY = f"""
    select {launch.COLUMNS}, w.occurrence
    from (select distinct creator_id, source_id, occurrence from messages
          where state = 'held' and source = 'campaign') w
    join campaigns c on c.creator_id = w.creator_id and c.id = w.source_id
    join creators r on r.id = c.creator_id
    join experiments x on x.creator_id = c.creator_id and x.campaign_id = c.id
    where c.status = 'active' and x.decided_at is not null and {launch.ONLY}
    order by c.creator_id, c.id, w.occurrence
    """
KEPT = ("fan_id", "platform", "account_id", "address", "expires_at")
"""What is known of those who wait."""
_HELD = text(
    f"""
    select {", ".join(KEPT)} from messages
    where creator_id = :creator_id and source = 'campaign' and source_id = :id
      and occurrence = :occurrence and state = 'held'
    order by fan_id
    """
)
_TAKEN = text(
    """
    select distinct platform, address from messages
    where creator_id = :creator_id and source = 'campaign' and source_id = :id
      and occurrence = :occurrence and state not in ('held', 'skipped')
    """
)


def expire(connection: Connection, now: datetime) -> int:
    """End the rows that waited too long: their campaign has ended or has come again."""
    return connection.execute(_EXPIRE, {"now": now}).rowcount


def waiting(connection: Connection) -> list[Campaign]:
    """Return the campaigns of `ready`, each once, without holding them."""
    rows = connection.execute(text(_READY), launch.named()).mappings()
    campaigns = [_occurrence(dict(row)) for row in rows]
    return list({(one.creator_id, one.id): one for one in campaigns}.values())


def ready(connection: Connection, only: Campaign | None = None) -> list[Campaign]:
    """Return the occurrences of active campaigns whose test is over while fans wait; hold them.

    A paused campaign's rest waits on; it is released after the campaign is started again.

    Args:
        connection: PostgreSQL.
        only: look at this campaign; nothing is found if another process has it.
    """
    held = text(_READY + " for update of c skip locked")
    rows = connection.execute(held, launch.named(only)).mappings()
    return [_occurrence(dict(row)) for row in rows]


def _occurrence(row: dict[str, Any]) -> Campaign:
    name = row.pop("occurrence")
    due = datetime.fromisoformat(name) if name else row["start_at"]
    if row["local"] and not name:
        day = due.astimezone(clock.zone(row["creator"]["zone"])).date()
        due = schedule.lead(day, time.fromisoformat(row["local"]))
    return launch.campaign(row | {"due_at": due})


def plan(
    connection: Connection,
    campaign: Campaign,
    now: datetime,
    policies: Policies,
    *,
    lake: duckdb.DuckDBPyConnection | None = None,
    snapshot_id: int | None = None,
) -> list[Decision]:
    """Return one decision for each fan who waits: the test's outcome, through all the gates.

    Args:
        connection: PostgreSQL.
        campaign: one of `ready`.
        now: the tick's instant; a message's life begins here.
        policies: the gates' rules.
        lake: as in `launch.plan`.
        snapshot_id: the lake snapshot that facts are read from.
    """
    names = {"creator_id": campaign.creator_id, "id": campaign.id}
    names["occurrence"] = campaign.occurrence
    held = connection.execute(_HELD, names).mappings().all()
    waiting = {row["fan_id"] for row in held}
    members = [
        member
        for member in audience(connection, campaign.creator_id, campaign.targeting)
        if member.id in waiting
    ]
    known = live.templates(connection, [campaign.creator_id]).get(campaign.creator_id, {})
    taken = {likeness.key(*row) for row in connection.execute(_TAKEN, names)}
    here = {member.id for member in members}
    left = [row for row in held if row["fan_id"] not in here]
    decides = writer(campaign, known, policies, now, taken, snapshot_id)
    return launch.write(connection, decides, members, lake) + gone(campaign, left, now)


def writer(
    campaign: Campaign,
    templates: Mapping[str, Template],
    policies: Policies,
    now: datetime,
    taken: set[tuple[str, str]],
    snapshot_id: int | None = None,
) -> Writer:
    """Return who decides those who waited; pure.

    Args:
        campaign: whose test is over.
        templates: those that it may write with.
        policies: the gates' rules.
        now: the tick's instant.
        taken: the addresses that the occurrence has written to (`likeness.key`).
        snapshot_id: the lake snapshot that facts are read from.
    """
    return Writer(
        campaign, templates, policies, now, snapshot_id, taken=taken,
        following=occasion.next_day(campaign),
    )  # fmt: skip


def gone(campaign: Campaign, rows: Sequence[Any], now: datetime) -> list[Decision]:
    """Return the refusals of those who left the audience while they waited (`KEPT` of each)."""
    return [
        Decision(
            creator_id=campaign.creator_id, source="campaign", source_id=campaign.id,
            rule_hash=campaign.rule_hash, occurrence=campaign.occurrence, content="",
            state="skipped", reason=GONE, not_before=now, decided_at=now, **row,
        )
        for row in rows
    ]  # fmt: skip

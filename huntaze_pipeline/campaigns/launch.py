"""Campaigns that are due: their audience, one decision per member, and what comes next.

The audience is frozen as rows at launch. What a member gets is `writing`, when the next occurrence
is `occasion`; what becomes of those who wait for a winner is `rest`; starting and pausing by hand
is `lifecycle`.
"""

from collections.abc import Sequence
from datetime import datetime, time
from typing import Any

import duckdb
from sqlalchemy import Connection, text

from huntaze_pipeline.campaigns import gates, occasion
from huntaze_pipeline.campaigns.recipients import Member, audience, with_facts
from huntaze_pipeline.campaigns.variants import Variant, capped
from huntaze_pipeline.campaigns.writing import Campaign, Writer, used
from huntaze_pipeline.errors import NotFoundError
from huntaze_pipeline.rulebook import live
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.rulebook.policies import Policies
from huntaze_pipeline.rulebook.templates import speaks_of_facts
from huntaze_pipeline.store.outflow import FINAL

COLUMNS = """
           c.creator_id, c.id, c.name, c.platforms, c.template_id, c.start_at, c.end_at,
           c.recurring, c.next_send_at as due_at, c.targeting, c.settings, c.rule_hash,
           c.local_time as local,
           jsonb_build_object('id', r.id, 'name', r.name, 'zone', r.zone, 'currency', r.currency)
               as creator,
           x.id as experiment_id, coalesce(x.share, 1) as share, x.decided_at is not null as closed,
           coalesce(x.winner_variant_id, x.fallback_variant_id) as follows,
           coalesce((select jsonb_agg(jsonb_build_object(
                'id', v.id, 'weight', v.weight, 'template_id', v.template_id,
                'variables', v.variables) order by v.position, v.id)
              from variants v where v.creator_id = c.creator_id and v.campaign_id = c.id), '[]')
               as variants
"""
"""What a `Campaign` is read from: the campaign c, its creator r and its experiment x."""
ONLY = "(cast(:creator as text) is null or (c.creator_id = :creator and c.id = :id))"
"""Of campaigns c the one that is named, or all: the names are `named`'s."""
_COMING = f"""
    select {COLUMNS}
    from campaigns c join creators r on r.id = c.creator_id
    left join experiments x on x.creator_id = c.creator_id and x.campaign_id = c.id
    where c.status in ('scheduled', 'active') and c.next_send_at <= :now
      and {ONLY}
    order by c.next_send_at, c.creator_id, c.id
"""
_ONE = text(
    f"""
    select {COLUMNS.replace("c.next_send_at", "cast(:due as timestamptz)")}
    from campaigns c join creators r on r.id = c.creator_id
    left join experiments x on x.creator_id = c.creator_id and x.campaign_id = c.id
    where c.creator_id = :creator and c.id = :id
    """
)
_SEEN = text(
    """
    select distinct on (fan_id) fan_id, variant_id from messages
    where creator_id = :creator_id and source = 'campaign' and source_id = :id
      and variant_id is not null
    order by fan_id, decided_at
    """
)
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
    update experiments x set started_at = :now, planned_n = coalesce(x.planned_n,
        (select nullif(count(*), 0) from messages m where :once and m.creator_id = x.creator_id
         and m.source = 'campaign' and m.source_id = x.campaign_id and m.state = 'decided'
         and m.variant_id is not null))
    where x.creator_id = :creator_id and x.campaign_id = :id and x.started_at is null
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


def coming(connection: Connection, until: datetime) -> list[Campaign]:
    """Return the campaigns with an undecided occurrence up to an instant, without holding them."""
    rows = connection.execute(text(_COMING), {"now": until} | named())
    return [campaign(dict(row)) for row in rows.mappings()]


def due(connection: Connection, now: datetime, only: Campaign | None = None) -> list[Campaign]:
    """Return the campaigns with an occurrence that has come and is not decided, and hold them.

    Args:
        connection: PostgreSQL.
        now: the tick's instant.
        only: look at this one; it is not among them if another process has it.
    """
    held = text(_COMING + " for update of c skip locked")
    rows = connection.execute(held, {"now": now} | named(only)).mappings()
    return [campaign(dict(row)) for row in rows]


def named(only: Campaign | None = None) -> dict[str, str | None]:
    """Return the names in `ONLY`."""
    return {"creator": only and only.creator_id, "id": only and only.id}


def one(connection: Connection, creator_id: str, campaign_id: str, due: datetime) -> Campaign:
    """Return a campaign as if an occurrence of it were due then, whatever its status.

    Raises:
        NotFoundError: there is no such campaign.
    """
    names = {"creator": creator_id, "id": campaign_id, "due": due}
    row = connection.execute(_ONE, names).mappings().one_or_none()
    if row is None:
        raise NotFoundError(f"there is no campaign {campaign_id!r}")
    return campaign(dict(row))


def campaign(row: dict[str, Any]) -> Campaign:
    """Return a campaign from a row of `COLUMNS`."""
    arms = tuple(Variant(**arm) for arm in row.pop("variants"))
    local = row["local"] and time.fromisoformat(row["local"])
    made = {**row, "platforms": tuple(row["platforms"]), "local": local}
    return Campaign(**made, variants=arms)


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
    made = writer(connection, campaign, policies, now, snapshot_id)
    return write(connection, made, members(connection, campaign), lake)


def members(connection: Connection, campaign: Campaign) -> list[Member]:
    """Return the audience of a campaign as it is now, its cap applied."""
    everyone = audience(connection, campaign.creator_id, campaign.targeting)
    kept = set(capped([m.id for m in everyone], campaign.targeting.get("cap"), campaign.key))
    return [member for member in everyone if member.id in kept]


def writer(
    connection: Connection,
    campaign: Campaign,
    policies: Policies,
    now: datetime,
    snapshot_id: int | None,
) -> Writer:
    """Return who decides the members of an occurrence."""
    known = live.templates(connection, [campaign.creator_id]).get(campaign.creator_id, {})
    seen = _seen(connection, campaign)
    return occasion.writer(campaign, known, policies, now, seen, snapshot_id)


def write(
    connection: Connection,
    writer: Writer,
    members: Sequence[Member],
    lake: duckdb.DuckDBPyConnection | None,
) -> list[Decision]:
    """Decide members with their facts, and pass the gates."""
    if lake is not None and any(
        speaks_of_facts(t) for t in used(writer.campaign, writer.templates)
    ):
        members = with_facts(connection, lake, writer.campaign.creator_id, members)
    decisions = [writer.decide(member) for member in members]
    return gates.screen(connection, decisions, writer.policies, writer.now)


def _seen(connection: Connection, campaign: Campaign) -> dict[str, str]:
    """Return the arms of earlier occurrences, by fan."""
    if not occasion.moored(campaign):
        return {}
    names = {"creator_id": campaign.creator_id, "id": campaign.id}
    return {row.fan_id: row.variant_id for row in connection.execute(_SEEN, names)}


def advance(connection: Connection, campaign: Campaign, now: datetime) -> datetime | None:
    """Note that this occurrence is decided; return the next one, or None when there is none.

    Occurrences that were missed meanwhile are passed over: nobody gets two of them at once. A test
    starts here, and where the campaign goes once, its size is known: those who are sent an arm.
    """
    ahead = occasion.following(campaign, now)
    names = {"creator_id": campaign.creator_id, "id": campaign.id, "now": now}
    connection.execute(_ADVANCE, {**names, "due": campaign.due_at, "next": ahead})
    if campaign.experiment_id:
        connection.execute(_STARTED, names | {"once": campaign.recurring is None})
    return ahead


def settle(connection: Connection, now: datetime, campaign: Campaign | None = None) -> int:
    """Complete the campaigns that have nothing left to decide or to send; return how many."""
    names: Sequence[str | None] = (campaign.creator_id, campaign.id) if campaign else (None, None)
    values = {"creator_id": names[0], "id": names[1], "now": now, "final": list(FINAL)}
    return connection.execute(_SETTLE, values).rowcount

"""Whom a campaign meant at an instant of the past: as live found them, by what was known then.

Stays in segments, profiles, facts and addresses are those of then. What the fans get is decided by
`occasion`; who would have been in segments that never were live is `muster`'s.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from huntaze_pipeline.campaigns.recipients import Member
from huntaze_pipeline.rehearsal import muster
from huntaze_pipeline.rehearsal.past import Past, instant, listed
from huntaze_pipeline.rulebook.people import Address

_ADDRESSES = """
    with old as (
        select json_extract_string(body, '$.fan_id') as fan_id,
               json_extract_string(body, '$.platform') as platform,
               json_extract_string(body, '$.account_id') as account_id,
               json_extract_string(body, '$.address') as address,
               json_extract_string(body, '$.normalised') as normalised,
               cast(json_extract_string(body, '$.last_inbound_at') as timestamptz)
                   as last_inbound_at
        from {former} f where kind = 'identities' and until > {at}
        qualify row_number() over (partition by id order by until, n) = 1
    ),
    known as (
        from old union all
        select i.fan_id, i.platform, i.account_id, i.address, i.normalised, i.last_inbound_at
        from {identities} i anti join old using (fan_id, platform)
    ),
    replies as (
        select fan_id, platform, max(occurred_at) as at from past_events
        where name = 'replied' and receipt and seen_at <= {at} group by all
    )
    select k.fan_id, k.platform, k.account_id, k.address, k.normalised,
           greatest(r.at, case when k.last_inbound_at <= {at} then k.last_inbound_at end)
               as last_inbound_at
    from known k semi join askers a on a.fan_id = k.fan_id
    left join replies r on r.fan_id = k.fan_id and r.platform = k.platform
    order by k.fan_id, k.platform
"""


def members(
    past: Past, targeting: Mapping[str, Any], at: datetime, facts: Collection[str]
) -> list[Member]:
    """Return the fans whom a targeting meant at an instant, its cap not applied, by id.

    Args:
        past: opened beyond the instant, of one creator.
        targeting: the campaign's.
        at: aware UTC.
        facts: those of the fan that are asked for.
    """
    muster.place(past, _chosen(past, targeting, at))
    past.remember(facts)
    past.relate("askers", {"name", *facts}, ())
    rows = past.con.execute(
        "select a.fan_id, fan.* exclude (position, known) from askers a join fan using (position)"
        " order by position"
    ).pl()
    where = _addresses(past, at)
    return [
        Member(row["fan_id"], row, where.get(row["fan_id"], []))
        for row in rows.iter_rows(named=True)
    ]


def _chosen(past: Past, targeting: Mapping[str, Any], at: datetime) -> str:
    """Return the query of those meant, as `recipients.CHOSEN` has it; a stay has its instants."""
    wanted = targeting.get("segmentIds") or ()
    inside = f"{_stays(past, wanted, at)} and " if wanted else ""
    excluded = _stays(past, targeting.get("excludeSegmentIds") or (), at)
    return (
        f"select f.creator_id, f.id as fan_id, {instant(at)} as moment, false as imported"
        f" from {past.table('fans')} f"
        f" where {inside} not {excluded} and f.created_at <= {instant(at)}"
    )


def _stays(past: Past, segments: Collection[str], at: datetime) -> str:
    return (
        f"f.id in (select m.fan_id from {past.table('members')} m"
        f" where m.segment_id in ({listed(segments)}) and {during('m', at)})"
    )


def during(stay: str, at: datetime) -> str:
    """Return the SQL boolean that a stay in a segment (an alias) holds an instant."""
    return (
        f"{stay}.entered_at <= {instant(at)}"
        f" and ({stay}.left_at is null or {stay}.left_at > {instant(at)})"
    )


def _addresses(past: Past, at: datetime) -> dict[str, list[Address]]:
    """Return the addresses of the askers as they were, by fan."""
    query = _ADDRESSES.format(
        former=past.table("former"), identities=past.table("identities"), at=instant(at)
    )
    found: dict[str, list[Address]] = {}
    for fan, *address in past.con.execute(query).pl().iter_rows():
        found.setdefault(fan, []).append(Address(*address))
    return found

"""The audience of a campaign: the members of its segments with what a message needs of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import duckdb
from sqlalchemy import Connection, text

from huntaze_pipeline.rulebook import facts
from huntaze_pipeline.rulebook.people import Address, load_fans


@dataclass(frozen=True)
class Member:
    """One fan of the audience."""

    id: str
    row: Mapping[str, Any]
    """The profile, as templates read it."""
    addresses: Sequence[Address]


CHOSEN = """
    with chosen as (
        select f.* from fans f
        where f.creator_id = :creator
          and (cardinality(cast(:segments as text[])) = 0 or exists (
                select 1 from members m where m.creator_id = f.creator_id and m.fan_id = f.id
                  and m.segment_id = any(:segments) and m.left_at is null))
          and not exists (
                select 1 from members m where m.creator_id = f.creator_id and m.fan_id = f.id
                  and m.segment_id = any(:excluded) and m.left_at is null)
    )
"""
"""The fans that a targeting means, as the table `chosen`; bound by `targeted`."""
_AUDIENCE = text(
    CHOSEN
    + """
    select f.id as fan_id, f.name, f.zone, f.locale, f.birthday,
           f.subscribed_at,
           f.created_at, f.tags, f.attributes::text as attributes,
           coalesce((select jsonb_agg(jsonb_build_array(i.platform, i.account_id, i.address,
                        i.normalised, i.last_inbound_at) order by i.platform)
                     from identities i
                     where i.creator_id = f.creator_id and i.fan_id = f.id), '[]') as addresses
    from chosen f order by f.id collate "C"
    """
)


def audience(connection: Connection, creator_id: str, targeting: Mapping[str, Any]) -> list[Member]:
    """Return the union of the segments (without any: every fan) minus the exclusions, by id."""
    values = targeted(creator_id, targeting)
    return [_member(dict(row)) for row in connection.execute(_AUDIENCE, values).mappings()]


def targeted(creator_id: str, targeting: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `CHOSEN` is bound by."""
    return {
        "creator": creator_id,
        "segments": list(targeting.get("segmentIds") or []),
        "excluded": list(targeting.get("excludeSegmentIds") or []),
    }


def spoken_of(targeting: Mapping[str, Any]) -> list[str]:
    """Return the segments that a targeting names, meant or excluded."""
    return [*(targeting.get("segmentIds") or ()), *(targeting.get("excludeSegmentIds") or ())]


def outside(segments: Collection[str], targeting: Mapping[str, Any]) -> str | None:
    """Say why a fan in these segments is not meant, as `CHOSEN` does: `audience` or `excluded`."""
    wanted = targeting.get("segmentIds") or ()
    if wanted and not set(segments) & set(wanted):
        return "audience"
    return "excluded" if set(segments) & set(targeting.get("excludeSegmentIds") or ()) else None


def _member(row: dict[str, Any]) -> Member:
    addresses = [
        Address(platform, account, address, normalised, at and datetime.fromisoformat(at))
        for platform, account, address, normalised, at in row.pop("addresses")
    ]
    return Member(row["fan_id"], row, addresses)


def with_facts(
    connection: Connection,
    lake: duckdb.DuckDBPyConnection,
    creator_id: str,
    members: Sequence[Member],
) -> list[Member]:
    """Return the members with their facts, as of now, in their rows."""
    known = load_fans(connection, lake, [(creator_id, member.id) for member in members])
    states = {row["fan_id"]: row for row in known.fans.iter_rows(named=True)}
    return [replace(m, row=joined(m.row, states.get(m.id, {}))) for m in members]


def joined(row: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a profile with the facts that a fan's state amounts to."""
    values = facts.values(state)
    subscribed = values.pop("subscribed_at") or row["subscribed_at"]
    return {**row, **values, "subscribed_at": subscribed}

"""Static segments: members by a list, and whoever automations let join or made leave since.

The list is compared with the one that was live before: who was dropped from it leaves, who is in it
and is a fan enters, everybody else stays. With the list unchanged only fans who are new enter.
Nothing of it is asked of the lake; segments that ask for a list find it in `fan.lists`.
"""

from collections.abc import Iterable, Sequence

import polars as pl
from duckdb import DuckDBPyConnection
from sqlalchemy import Connection, text

from huntaze_pipeline.audience import stays
from huntaze_pipeline.audience.evaluation import Group, Selection
from huntaze_pipeline.audience.stays import Name

_HORIZON = text("select pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
_BEFORE = """
    select v.live_at, v.criteria, v.rule_hash = s.rule_hash as same
    from segments s left join lateral (
        select * from segment_versions v
        where v.creator_id = s.creator_id and v.segment_id = s.id
        order by v.live_at desc limit 1) v on true
    where s.creator_id = :creator and s.id = :segment
"""
_LEAVE = text(
    f"""
    update members m set left_at = greatest(m.entered_at, :now)
    from ({_BEFORE}) b
    where m.creator_id = :creator and m.segment_id = :segment and m.left_at is null
      and b.criteria is not null and not b.same and not (m.fan_id = any(:fans))
      and (not b.criteria ? 'fans' or b.criteria -> 'fans' ? m.fan_id)
    returning m.fan_id
    """
)
_ENTER = text(
    f"""
    insert into members (creator_id, segment_id, fan_id, entered_at)
    select f.creator_id, :segment, f.id, :now
    from fans f left join ({_BEFORE}) b on true
    where f.creator_id = :creator and f.id = any(:fans) and not exists (
        select 1 from members m
        where m.creator_id = f.creator_id and m.segment_id = :segment and m.fan_id = f.id
          and (m.left_at is null or (b.same and m.left_at >= b.live_at)))
    on conflict (creator_id, segment_id, fan_id, entered_at) do update set left_at = null
    returning fan_id
    """
)
_SIZE = text(
    "select count(*) from members where creator_id = :creator and segment_id = :segment"
    " and left_at is null"
)
_TOUCHED = text(
    """
    select distinct m.creator_id, m.fan_id
    from members m
    join unnest(cast(:creators as text[]), cast(:segments as text[])) as k(creator_id, segment_id)
        on k.creator_id = m.creator_id and k.segment_id = m.segment_id
    where m.tx >= :since
    """
)


def reconcile(
    connection: Connection, segment: Selection, now: object
) -> tuple[list[str], list[str], int]:
    """Bring a static segment's members in line with its list; return who came, who left, its size.

    Fans of the list who are not known yet enter at the first refresh after they are.
    """
    values = {
        "creator": segment.creator_id,
        "segment": segment.id,
        "fans": list(segment.fans or ()),
        "now": now,
    }
    left = sorted(connection.execute(_LEAVE, values).scalars())
    came = sorted(connection.execute(_ENTER, values).scalars())
    return came, left, connection.execute(_SIZE, values).scalar_one()


def horizon(connection: Connection) -> int:
    """Return the transaction before which everything has ended: all of it is seen from now on."""
    return int(connection.execute(_HORIZON).scalar_one())


def load(
    connection: Connection, lake: DuckDBPyConnection, groups: Sequence[Group], since: int
) -> None:
    """Make DuckDB's `_lists` (the lists of each fan) and `_relisted` (fans whose lists changed).

    Args:
        connection: PostgreSQL.
        lake: where to.
        groups: they say which lists are asked for.
        since: the horizon of the last time.
    """
    asked = [(c, name) for g in groups for c in g.creators for name in sorted(g.lists)]
    members = stays.current(connection, asked) if asked else pl.DataFrame(schema=stays.KEYS)
    listed = members.group_by("creator_id", "fan_id").agg(pl.col("segment_id").alias("lists"))
    lake.register("_listed", listed.to_arrow())
    lake.execute("create or replace temp table _lists as select * from _listed")
    lake.unregister("_listed")
    schema = {"creator_id": pl.String, "fan_id": pl.String}
    frame = pl.DataFrame(_touched(connection, asked, since), schema=schema, orient="row")
    lake.register("_touched", frame.to_arrow())
    lake.execute("create or replace temp table _relisted as select * from _touched")
    lake.unregister("_touched")


def _touched(connection: Connection, asked: Iterable[Name], since: int) -> list[Name]:
    names = list(asked)
    if not names:
        return []
    values = {"creators": [n[0] for n in names], "segments": [n[1] for n in names]}
    return [(r[0], r[1]) for r in connection.execute(_TOUCHED, {**values, "since": since})]

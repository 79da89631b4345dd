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
_BEFORE = text(
    """
    select v.live_at, v.criteria ? 'fans' as listed, v.rule_hash = s.rule_hash as same
    from segments s join segment_versions v on v.creator_id = s.creator_id and v.segment_id = s.id
    where s.creator_id = :creator and s.id = :segment
    order by v.live_at desc limit 1
    """
)
_LEAVE = text(
    """
    with was as materialized (
        select jsonb_array_elements_text(v.criteria -> 'fans') as fan_id
        from segment_versions v
        where v.creator_id = :creator and v.segment_id = :segment and v.live_at = :live_at
          and v.criteria ? 'fans')
    update members m set left_at = greatest(m.entered_at, :now)
    where m.creator_id = :creator and m.segment_id = :segment and m.left_at is null
      and m.fan_id <> all(:fans)
      and (not :listed or m.fan_id in (select fan_id from was))
    returning m.fan_id
    """
)
# `except` sorts or hashes both sides, however little the server knows of the tables; a join of
# tables that it takes for small goes through the one for each row of the other.
_ENTER = text(
    """
    insert into members (creator_id, segment_id, fan_id, entered_at)
    select :creator, :segment, k.id, :now from (
        select id from fans where creator_id = :creator and id = any(:fans)
        except
        select fan_id from members
        where creator_id = :creator and segment_id = :segment
          and (left_at is null or left_at >= cast(:since as timestamptz))) k
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
    name = {"creator": segment.creator_id, "segment": segment.id}
    values = name | {"fans": list(segment.fans or ()), "now": now}
    before = connection.execute(_BEFORE, name).one_or_none()
    left: list[str] = []
    if before is not None and not before.same:
        then = {"live_at": before.live_at, "listed": before.listed}
        left = sorted(connection.execute(_LEAVE, values | then).scalars())
    since = before.live_at if before is not None and before.same else None
    came = sorted(connection.execute(_ENTER, values | {"since": since}).scalars())
    return came, left, connection.execute(_SIZE, name).scalar_one()


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

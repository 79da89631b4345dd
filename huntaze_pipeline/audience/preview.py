"""A segment before it is used: how many fans, which ones, and what it shares with the others.

Asked of the lake as a refresh would; nothing is written.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl
from duckdb import DuckDBPyConnection
from sqlalchemy import Connection, text

from huntaze_pipeline.audience import evaluation, stays
from huntaze_pipeline.audience.evaluation import Selection
from huntaze_pipeline.errors import NotFoundError
from huntaze_pipeline.sql import quoted
from huntaze_pipeline.warehouse.lake import absent

SAMPLE = 10
_SHOWN = ("name", "locale", "lifetime_spend", "purchases", "last_active_at")
_FANS = text("select id from fans where creator_id = :creator and id = any(:fans)")
_STATIC = text("select id from segments where creator_id = :creator and not is_dynamic order by id")


@dataclass(frozen=True)
class Overlap:
    """What two segments share."""

    segment_id: str
    size: int
    shared: int


@dataclass(frozen=True)
class Preview:
    """What a segment would hold now."""

    size: int
    fans: int
    """Fans of the creator."""
    sample: list[dict[str, Any]]
    """Some of them, the same ones every time, with what they did."""
    overlaps: list[Overlap]
    """With each other segment, the largest share first."""
    entering: int
    """Of the size, not in the live segment of the same name; 0 where there is none."""
    leaving: int
    """In the live segment of the same name, and not in this one."""


def preview(
    connection: Connection,
    lake: DuckDBPyConnection,
    creator_id: str,
    segments: Sequence[Selection],
    name: str,
    now: datetime,
    sample: int = SAMPLE,
) -> Preview:
    """Evaluate one segment of a creator beside the others, which may not be live yet.

    Args:
        connection: PostgreSQL, as the creator.
        lake: the facts.
        creator_id: whose fans.
        segments: the segment and those to compare it with, as they would be.
        name: which of them.
        now: the moment.
        sample: how many fans to show.

    Raises:
        NotFoundError: it is not among the segments.
        WarehouseError: the facts about the fans were never built.
    """
    if name not in {segment.id for segment in segments}:
        raise NotFoundError(f"there is no segment {name!r}")
    _gather(connection, lake, creator_id, segments, now)
    chosen = lake.execute(
        f"select fan_id from _previewed where segment_id = {quoted(name)}"
        f" order by hash(fan_id), fan_id limit {int(sample)}"
    ).fetchall()
    sizes = dict(lake.execute("select segment_id, count(*) from _previewed group by 1").fetchall())
    live = stays.current(connection, [(creator_id, name)])["fan_id"]
    mine = lake.execute(f"select fan_id from _previewed where segment_id = {quoted(name)}").pl()
    count = lake.execute(
        f"select count(*) from lake.marts.fan_facts where creator_id = {quoted(creator_id)}"
    ).fetchone()
    return Preview(
        sizes.get(name, 0),
        int(count[0]) if count else 0,
        _shown(lake, creator_id, [fan for (fan,) in chosen]),
        _overlaps(lake, name, [s.id for s in segments], sizes),
        len(mine.filter(~pl.col("fan_id").is_in(live.implode()))) if len(live) else 0,
        len(live.filter(~live.is_in(mine["fan_id"].implode()))),
    )


def members(
    connection: Connection,
    lake: DuckDBPyConnection,
    creator_id: str,
    segments: Sequence[Selection],
    now: datetime,
) -> dict[str, set[str]]:
    """Return who would be in each of a creator's segments; nothing is stored.

    Raises:
        WarehouseError: the facts about the fans were never built.
    """
    _gather(connection, lake, creator_id, segments, now)
    inside: dict[str, set[str]] = {segment.id: set() for segment in segments}
    for name, fan in lake.execute("select segment_id, fan_id from _previewed").fetchall():
        inside[name].add(fan)
    return inside


def _gather(
    connection: Connection,
    lake: DuckDBPyConnection,
    creator_id: str,
    segments: Sequence[Selection],
    now: datetime,
) -> None:
    """Put (segment_id, fan_id) of everything into DuckDB's `_previewed`, lists first."""
    listed = _listed(connection, creator_id, segments)
    lake.register("_listing", listed.to_arrow())
    lake.execute("create or replace temp table _previewed as from _listing")
    lake.execute(
        f"create or replace temp table _lists as select {quoted(creator_id)} as creator_id, fan_id,"
        " list(segment_id) as lists from _listing group by fan_id"
    )
    lake.unregister("_listing")
    mine = f"fan.creator_id = {quoted(creator_id)}"
    for group in evaluation.groups(segments):
        names = ", ".join(
            f"({quoted(n)}, {p // 8 + 1}, {1 << p % 8}::utinyint)" for n, p, _ in group.names
        )
        if not names:
            continue
        try:
            lake.execute(
                f"insert into _previewed select n.segment_id, f.fan_id"
                f" from ({evaluation.question(group, now, mine)}) f"
                f" join (values {names}) n(segment_id, word, mask)"
                f" on {evaluation.at('f.inside', 'n')}"
            )
        except Exception as error:
            if "does not exist" in str(error):
                raise absent(error) from None
            raise


def _listed(connection: Connection, creator_id: str, segments: Sequence[Selection]) -> pl.DataFrame:
    """Return who is in the lists: fans who are named, and of live lists whoever joined besides."""
    live = set(connection.execute(_STATIC, {"creator": creator_id}).scalars())
    rows: set[tuple[str, str]] = set()
    for segment in segments:
        if segment.fans is not None:
            values = {"creator": creator_id, "fans": list(segment.fans)}
            rows |= {(segment.id, fan) for fan in connection.execute(_FANS, values).scalars()}
    schema = {"segment_id": pl.String, "fan_id": pl.String}
    frame = pl.DataFrame(sorted(rows), schema=schema, orient="row")
    names = [(creator_id, s.id) for s in segments if s.fans is not None and s.id in live]
    if not names:
        return frame
    joined = stays.current(connection, names).select("segment_id", "fan_id")
    return pl.concat([frame, joined]).unique()


def _shown(lake: DuckDBPyConnection, creator_id: str, fans: list[str]) -> list[dict[str, Any]]:
    if not fans:
        return []
    there = {row[0] for row in lake.execute("describe lake.marts.fan_facts").fetchall()}
    columns = ", ".join(["fan_id", *(name for name in _SHOWN if name in there)])
    rows = lake.execute(
        f"select {columns} from lake.marts.fan_facts where creator_id = {quoted(creator_id)}"
        f" and fan_id in ({', '.join(map(quoted, fans))}) order by fan_id"
    )
    return rows.pl().to_dicts()


def _overlaps(
    lake: DuckDBPyConnection, name: str, names: Sequence[str], sizes: dict[str, int]
) -> list[Overlap]:
    shared = dict(
        lake.execute(
            "select o.segment_id, count(*) from _previewed m join _previewed o using (fan_id)"
            f" where m.segment_id = {quoted(name)} group by 1"
        ).fetchall()
    )
    overlaps = [Overlap(n, sizes.get(n, 0), shared.get(n, 0)) for n in names if n != name]
    return sorted(overlaps, key=lambda o: (-o.shared, o.segment_id))

"""Segments in the lake's light: who is in, who came, who left; kept in PostgreSQL for ever.

Belongs here: evaluation and membership. What a segment asks is the rulebook's; it comes in as SQL.
"""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Any, Protocol

import duckdb
import polars as pl
from sqlalchemy import Connection, text

from huntaze_pipeline.errors import NotFoundError, WarehouseError
from huntaze_pipeline.events.envelope import Event

_LOCK = 0x5345474D  # "SEGM": one refresh at a time
_KEYS: dict[str, Any] = {"creator_id": pl.String, "segment_id": pl.String, "fan_id": pl.String}


class Selection(Protocol):
    """A segment that can be evaluated."""

    @property
    def creator_id(self) -> str:
        """Whose segment."""
        ...

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def predicate(self) -> str:
        """One SQL boolean over the alias `fan`."""
        ...


@dataclass(frozen=True)
class Delta:
    """What one refresh changed in one segment."""

    creator_id: str
    segment_id: str
    entered: list[str]
    left: list[str]
    size: int


FANS = """
    SELECT x.creator_id, x.fan_id AS id, x.* EXCLUDE (creator_id, fan_id),
           f.created_at, f.attributes,
           coalesce(CAST(json_extract_string(f.tags, '$[*]') AS VARCHAR[]), []) AS tags
    FROM lake.marts.fan_facts x
    LEFT JOIN lake.raw.fans f ON f.creator_id = x.creator_id AND f.id = x.fan_id
"""
"""The relation `fan` that predicates are asked of."""


def evaluate(
    lake: duckdb.DuckDBPyConnection, segments: Sequence[Selection], fans: str = FANS
) -> pl.DataFrame:
    """Return (creator_id, segment_id, fan_id) of every member, in one pass over the fans.

    Creators with the same segment share its question.

    Raises:
        WarehouseError: the facts about the fans were never built.
    """
    predicates = list(dict.fromkeys(segment.predicate for segment in segments))
    if not predicates:
        return pl.DataFrame(schema=_KEYS)
    numbers = {predicate: i for i, predicate in enumerate(predicates)}
    cases = ", ".join(f"CASE WHEN {p} THEN {i} END" for i, p in enumerate(predicates))
    names = pl.DataFrame(
        [(s.creator_id, s.id, numbers[s.predicate]) for s in segments],
        schema={"creator_id": pl.String, "segment_id": pl.String, "hit": pl.Int32},
        orient="row",
    )
    lake.register("segment_names", names.to_arrow())
    try:
        return lake.execute(
            f"""
            WITH asked AS (
                SELECT fan.creator_id, fan.id AS fan_id,
                       unnest(list_filter([{cases}], lambda hit: hit IS NOT NULL)) AS hit
                FROM ({fans}) AS fan)
            SELECT n.creator_id, n.segment_id, a.fan_id
            FROM asked a JOIN segment_names n ON n.creator_id = a.creator_id AND n.hit = a.hit
            ORDER BY ALL
            """
        ).pl()
    except duckdb.CatalogException as error:
        what = str(error).splitlines()[0]
        raise WarehouseError(f"{what}; `huntaze models build` makes the tables") from None
    finally:
        lake.unregister("segment_names")


def refresh(
    connection: Connection,
    lake: duckdb.DuckDBPyConnection,
    segments: Sequence[Selection],
    now: datetime,
) -> list[Delta]:
    """Evaluate segments and store what changed; stays are opened and closed at `now`.

    Repeating it changes nothing. Segments of one refresh are seen together: all or none.
    """
    connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    wanted = evaluate(lake, segments)
    creators = sorted({segment.creator_id for segment in segments})
    current = _current(connection, creators)
    names = pl.DataFrame(
        [(s.creator_id, s.id) for s in segments],
        schema={"creator_id": pl.String, "segment_id": pl.String},
        orient="row",
    )
    current = current.join(names, on=["creator_id", "segment_id"], how="semi")
    entered = wanted.join(current, on=list(_KEYS), how="anti")
    left = current.join(wanted, on=list(_KEYS), how="anti")
    _open(connection, entered, now)
    _close(connection, left, now)
    sizes = _counts(wanted)
    _sizes(connection, segments, sizes, now)
    came, went = _grouped(entered), _grouped(left)
    return [
        Delta(*key, came.get(key, []), went.get(key, []), sizes.get(key, 0))
        for key in dict.fromkeys((s.creator_id, s.id) for s in segments)
    ]


def published(deltas: Iterable[Delta], now: datetime) -> list[Event]:
    """Return the deltas as events `entered_segment` and `left_segment`, for rules to react to."""
    return [
        Event(
            creator_id=delta.creator_id,
            event_id=f"segment:{delta.segment_id}:{fan}:{name}:{now.isoformat()}",
            name=name,
            fan_id=fan,
            occurred_at=now,
            source="rule",
            properties={"segment": delta.segment_id},
        )
        for delta in deltas
        for name, fans in (("entered_segment", delta.entered), ("left_segment", delta.left))
        for fan in fans
    ]


def require(connection: Connection, creator_id: str, segment_id: str) -> None:
    """Make sure that a creator has a segment.

    Raises:
        NotFoundError: there is none; the nearest names are told.
    """
    query = text("select id from segments where creator_id = :creator order by id")
    names = list(connection.execute(query, {"creator": creator_id}).scalars())
    if segment_id not in names:
        near = " or ".join(map(repr, get_close_matches(segment_id, names, n=3)))
        hint = f"did you mean {near}?" if near else f"there are: {', '.join(names) or 'none'}"
        raise NotFoundError(f"there is no segment {segment_id!r} of {creator_id!r}; {hint}")


def members(
    connection: Connection, creator_id: str, segment_id: str, at: datetime | None = None
) -> list[str]:
    """Return the fans in a segment, now or as of a moment."""
    rows = connection.execute(
        text(
            """
            select distinct fan_id from members
            where creator_id = :creator and segment_id = :segment
              and case when cast(:at as timestamptz) is null then left_at is null
                       else entered_at <= :at and (left_at is null or left_at > :at) end
            order by fan_id
            """
        ),
        {"creator": creator_id, "segment": segment_id, "at": at},
    )
    return [row.fan_id for row in rows]


def _current(connection: Connection, creators: Sequence[str]) -> pl.DataFrame:
    """Read the open stays as CSV: the one form in which PostgreSQL hands out millions quickly."""
    raw = connection.connection.driver_connection
    assert raw is not None
    buffer = io.BytesIO()
    query = (
        "copy (select creator_id, segment_id, fan_id from members where left_at is null"
        " and creator_id = any(%s)) to stdout (format csv)"
    )
    with raw.cursor() as cursor, cursor.copy(query, [list(creators)]) as copy:
        for block in copy:
            buffer.write(block)
    if not buffer.tell():
        return pl.DataFrame(schema=_KEYS)
    buffer.seek(0)
    return pl.read_csv(buffer, has_header=False, schema=_KEYS)


def _columns(frame: pl.DataFrame) -> dict[str, list[str]]:
    return {name: frame[name].to_list() for name in _KEYS}


_ROWS = """unnest(cast(:creator_id as text[]), cast(:segment_id as text[]),
                  cast(:fan_id as text[])) as k(creator_id, segment_id, fan_id)"""


def _open(connection: Connection, entered: pl.DataFrame, now: datetime) -> None:
    if not entered.is_empty():
        connection.execute(
            text(
                f"""
                insert into members (creator_id, segment_id, fan_id, entered_at)
                select creator_id, segment_id, fan_id, :now from {_ROWS}
                on conflict (creator_id, segment_id, fan_id, entered_at)
                do update set left_at = null
                """
            ),
            {**_columns(entered), "now": now},
        )


def _close(connection: Connection, left: pl.DataFrame, now: datetime) -> None:
    if not left.is_empty():
        connection.execute(
            text(
                f"""
                update members m set left_at = greatest(m.entered_at, :now) from {_ROWS}
                where m.creator_id = k.creator_id and m.segment_id = k.segment_id
                  and m.fan_id = k.fan_id and m.left_at is null
                """
            ),
            {**_columns(left), "now": now},
        )


def _sizes(
    connection: Connection,
    segments: Sequence[Selection],
    sizes: dict[tuple[str, str], int],
    now: datetime,
) -> None:
    rows = [
        {
            "creator": s.creator_id,
            "id": s.id,
            "size": sizes.get((s.creator_id, s.id), 0),
            "now": now,
        }
        for s in segments
    ]
    if rows:
        update = "update segments set size = :size, refreshed_at = :now"
        connection.execute(text(f"{update} where creator_id = :creator and id = :id"), rows)


def _counts(frame: pl.DataFrame) -> dict[tuple[str, str], int]:
    counted = frame.group_by("creator_id", "segment_id").len()
    return {(row[0], row[1]): row[2] for row in counted.iter_rows()}


def _grouped(frame: pl.DataFrame) -> dict[tuple[str, str], list[str]]:
    grouped = frame.group_by("creator_id", "segment_id").agg(pl.col("fan_id").sort())
    return {(row[0], row[1]): row[2] for row in grouped.iter_rows()}

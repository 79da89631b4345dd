"""Stays in PostgreSQL: a fan's time in a segment, opened and closed by what a refresh found.

Millions of rows go through COPY into a table of the transaction, which row-level security allows.
Which rows, is `segments`' business.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import polars as pl
from duckdb import DuckDBPyConnection
from sqlalchemy import Connection, text

KEYS: dict[str, Any] = {"creator_id": pl.String, "segment_id": pl.String, "fan_id": pl.String}
_SLICE = 500_000
_OPEN = text(
    """
    insert into members (creator_id, segment_id, fan_id, entered_at)
    select creator_id, segment_id, fan_id, :now from moves where entered
    on conflict (creator_id, segment_id, fan_id, entered_at) do update set left_at = null
    """
)
_CLOSE = text(
    # Each by its key: joined, a few who leave may read everybody who was ever in a segment.
    """
    update members m set left_at = greatest(m.entered_at, :now)
    from moves k, lateral (
        select o.ctid as place from members o
        where o.creator_id = k.creator_id and o.segment_id = k.segment_id
          and o.fan_id = k.fan_id and o.left_at is null limit 1) o
    where not k.entered and m.ctid = o.place
    """
)
_HELD = text(
    """
    select k.creator_id, k.segment_id
    from unnest(cast(:creators as text[]), cast(:segments as text[])) as k(creator_id, segment_id)
    where exists (select 1 from members m where m.creator_id = k.creator_id
                  and m.segment_id = k.segment_id and m.left_at is null)
    """
)
_SIZES = text(
    """
    with found as (
        select * from unnest(cast(:creators as text[]), cast(:segments as text[]),
            cast(:bases as bigint[]), cast(:changes as bigint[]))
            as f(creator_id, segment_id, base, change)
    )
    update segments s set size = coalesce(f.base, s.size) + f.change, refreshed_at = :now
    from found f where s.creator_id = f.creator_id and s.id = f.segment_id
    returning s.creator_id, s.id, s.size
    """
)
Name = tuple[str, str]
"""(creator_id, segment_id)"""


def held(connection: Connection, names: Iterable[Name]) -> list[Name]:
    """Return those of some segments that have members now."""
    wanted = sorted(names)
    values = {"creators": [n[0] for n in wanted], "segments": [n[1] for n in wanted]}
    return [(row[0], row[1]) for row in connection.execute(_HELD, values)]


def current(connection: Connection, names: Iterable[Name]) -> pl.DataFrame:
    """Return (creator_id, segment_id, fan_id) of the members of some segments, by COPY."""
    wanted = sorted(names)
    query = (
        "copy (select m.creator_id, m.segment_id, m.fan_id from members m"
        " join unnest(%s::text[], %s::text[]) as k(creator_id, segment_id)"
        " on k.creator_id = m.creator_id and k.segment_id = m.segment_id"
        " where m.left_at is null) to stdout (format csv)"
    )
    blocks = []
    with _raw(connection).cursor() as cursor:
        values = [[n[0] for n in wanted], [n[1] for n in wanted]]
        with cursor.copy(query, values) as copy:
            blocks = [bytes(block) for block in copy]
    if not blocks:
        return pl.DataFrame(schema=KEYS)
    return pl.read_csv(b"".join(blocks), has_header=False, schema=KEYS)


def write(connection: Connection, lake: DuckDBPyConnection, now: Any) -> None:
    """Open and close stays as DuckDB's `_moves` (creator_id, segment_id, fan_id, entered) say."""
    connection.execute(
        text(
            "create temp table if not exists moves (creator_id text, segment_id text, fan_id text,"
            " entered boolean) on commit drop"
        )
    )
    connection.execute(text("truncate moves"))
    query = "copy moves (creator_id, segment_id, fan_id, entered) from stdin (format csv)"
    with _raw(connection).cursor() as cursor, cursor.copy(query) as copy:
        for frame in _slices(lake):
            copy.write(frame.write_csv(include_header=False).encode())
    connection.execute(text("analyze moves"))
    connection.execute(_CLOSE, {"now": now})
    connection.execute(_OPEN, {"now": now})


def _slices(lake: DuckDBPyConnection) -> Iterator[pl.DataFrame]:
    columns = "creator_id, segment_id, fan_id, entered"
    reader = lake.execute(
        f"select {columns} from _moves order by creator_id, segment_id, fan_id"
    ).to_arrow_reader(_SLICE)
    for batch in reader:
        frame = pl.from_arrow(batch)
        if isinstance(frame, pl.DataFrame) and not frame.is_empty():
            yield frame


def sizes(
    connection: Connection,
    names: Iterable[Name],
    bases: dict[Name, int],
    changes: dict[Name, int],
    now: Any,
) -> dict[Name, int]:
    """Note the segments' sizes; return them.

    Args:
        connection: PostgreSQL.
        names: the segments that were refreshed.
        bases: how many members some had before; the others' sizes are known.
        changes: by how many each grew.
        now: when it was.
    """
    wanted = sorted(names)
    values = {
        "creators": [n[0] for n in wanted],
        "segments": [n[1] for n in wanted],
        "bases": [bases.get(n) for n in wanted],
        "changes": [changes.get(n, 0) for n in wanted],
        "now": now,
    }
    return {(row[0], row[1]): row[2] for row in connection.execute(_SIZES, values)}


def _raw(connection: Connection) -> Any:
    return connection.connection.driver_connection

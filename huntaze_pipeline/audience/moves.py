"""Who comes and who goes: where fans stand now, compared with where they stood.

It works on the tables of one refresh in the lake's session, which `standing` fills: `_wanted` and
`_recorded` say which bit is which segment, `_diff` holds the bits. Nothing is written for good.
"""

from collections.abc import Iterator

import polars as pl
from duckdb import DuckDBPyConnection

from huntaze_pipeline.audience.stays import Name

_UNRECORDED = """
    select creator_id, segment_id from _wanted anti join _recorded using (creator_id, segment_id)
"""
_REDEFINED = """
    select w.creator_id, w.segment_id
    from _wanted w join _recorded r using (creator_id, segment_id)
    where w.definition <> r.definition
"""
_BITS = """
    create or replace temp table _bits as
        select b.range::utinyint as word, i.range::integer as bit
        from range(1, 256) b, range(8) i where b.range & (1 << i.range) <> 0
"""
"""The bits that are set in each byte: joined with a byte, it gives a row for each of them."""
_MOVES = """
    create or replace temp table _words as
        select * from (
            select creator_id, fan_id, anew, unnest(inside) as now, unnest(before) as was,
                8 * unnest(range(greatest(len(inside), len(before)))) as first
            from _diff)
        where anew or now is distinct from was;
    create or replace temp table _is as
        select w.creator_id, w.segment_id, d.fan_id
        from _words d join _bits b on b.word = d.now
        join _wanted w on w.creator_id = d.creator_id and w.place = d.first + b.bit;
    create or replace temp table _was as
        select r.creator_id, r.segment_id, d.fan_id
        from _words d join _bits b on b.word = d.was
        join _recorded r on r.creator_id = d.creator_id and r.place = d.first + b.bit
        union all from _held;
    create or replace temp table _moves as
        select *, true as entered from _is anti join _was using (creator_id, segment_id, fan_id)
        union all
        select *, false from _was anti join _is using (creator_id, segment_id, fan_id);
"""
"""Only bytes that differ are looked into, unless they mean something else than before."""


def unrecorded(con: DuckDBPyConnection) -> set[Name]:
    """Return the segments that the lake does not remember."""
    return {(row[0], row[1]) for row in con.execute(_UNRECORDED).fetchall()}


def redefined(con: DuckDBPyConnection) -> set[Name]:
    """Return the segments with another definition than at the refresh before."""
    return {(row[0], row[1]) for row in con.execute(_REDEFINED).fetchall()}


def gather(con: DuckDBPyConnection, held: pl.DataFrame) -> None:
    """Gather all moves in `_moves`.

    Args:
        con: the lake, with the tables of a refresh.
        held: the members of the segments that the lake does not remember.
    """
    con.register("_held", held.to_arrow())
    con.execute(_BITS)
    con.execute(_MOVES)
    con.unregister("_held")


def any_at_all(con: DuckDBPyConnection) -> bool:
    """Say whether anybody moved."""
    return con.execute("select 1 from _moves limit 1").fetchone() is not None


def fans(con: DuckDBPyConnection, *, entered: bool) -> dict[Name, pl.Series]:
    """Return who entered, or who left, by segment."""
    frame = con.execute(
        "select creator_id, segment_id, list(fan_id order by fan_id) as fans from _moves"
        f" where entered = {entered} group by all"
    ).pl()
    return {(row[0], row[1]): row[2] for row in _each(frame)}


def _each(frame: pl.DataFrame) -> Iterator[tuple[str, str, pl.Series]]:
    for i in range(frame.height):
        yield frame["creator_id"][i], frame["segment_id"][i], frame["fans"][i]

"""What is known about a world's fans: their facts, and who is in which segment, hour by hour.

Live segments are evaluated every hour; a rehearsal asks all the hours up to the next event at once,
because while nothing happens only the clock can move anybody.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache

import duckdb
import polars as pl

from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.rulebook import behaviour, facts, people, selection
from huntaze_pipeline.rulebook.behaviour import union
from huntaze_pipeline.rulebook.schema import Segment

EVERY = timedelta(hours=1)
_SUBSCRIBED = "coalesce(f.subscribed_at, f.profile_subscribed_at) as"


@cache
def _memory() -> duckdb.DuckDBPyConnection:
    """Open one database for all worlds of a process: opening costs more than asking."""
    con = duckdb.connect(config={"threads": 1})
    con.execute("set TimeZone = 'UTC'")
    return con


@contextmanager
def _tables(**frames: pl.DataFrame) -> Iterator[duckdb.DuckDBPyConnection]:
    con = _memory()
    for name, frame in frames.items():
        con.register(name, frame.to_arrow())
    try:
        yield con
    finally:
        for name in frames:
            con.unregister(name)


def fans(profiles: pl.DataFrame, log: Sequence[Event]) -> pl.DataFrame:
    """Return the fans (`people.PROFILES`) with the state columns of all that has happened."""
    with _tables(events=people.frame(log), fans=profiles) as con:
        query = f"from fans left join ({facts.state('events')}) using (creator_id, fan_id)"
        return con.execute(query).pl()


def hours(after: datetime, until: datetime) -> list[datetime]:
    """Return the moments of evaluation after one instant, up to and including another."""
    return [after + i * EVERY for i in range(1, (until - after) // EVERY + 1)]


def members(
    profiles: pl.DataFrame, log: Sequence[Event], segments: Mapping[str, Segment],
    names: Sequence[str], moments: Sequence[datetime],
) -> Iterator[tuple[datetime, dict[str, set[str]]]]:  # fmt: skip
    """Yield each moment with the members of the segments of these names.

    Args:
        profiles: the fans (`people.PROFILES`).
        log: all that has happened.
        segments: every segment of the rulebook.
        names: those that are asked for.
        moments: in order.
    """
    if not moments or not names:
        return
    order = list(names)
    grid = pl.DataFrame({"moment": moments}, schema={"moment": pl.Datetime("us", "UTC")})
    tables = {"fans": fans(profiles, log), "grid_frame": grid, "events": people.frame(log)}
    with _tables(**tables) as con:
        rows = con.execute(_asked(segments, order, moments[0])).fetchall()
    found: dict[datetime, dict[str, set[str]]] = {m: {n: set() for n in names} for m in moments}
    for moment, fan, hits in rows:
        for hit in hits:
            if hit is not None:
                found[moment][order[hit]].add(fan)
    yield from found.items()


def _asked(segments: Mapping[str, Segment], names: list[str], at: datetime) -> str:
    """Return the query that asks every segment of every fan at every moment."""
    predicates = [selection.asked(name, segments, "fan.moment") for name in names]
    cases = ", ".join(f"case when {p} then {i} end" for i, p in enumerate(predicates))
    columns = facts.columns("f").replace("f.subscribed_at AS", _SUBSCRIBED)
    features = union(*(selection.select(name, segments, at).features for name in names))
    did, more = "", ""
    if features:
        query = behaviour.columns(features, "events", "askers", ordered=False)
        did = f"left join ({query}) did on did.position = f.position"
        more = ", did.* exclude (creator_id, fan_id, position)"
    return f"""
        with askers as (
            select fans.*, grid.moment, row_number() over () as position
            from fans, grid_frame grid)
        select fan.moment, fan.id, [{cases}] as hits
        from (select f.fan_id as id, f.name, f.zone, f.locale, f.birthday, f.tags, f.attributes,
                     f.created_at, f.moment, {columns} {more} from askers f {did}) as fan
        order by fan.moment
    """

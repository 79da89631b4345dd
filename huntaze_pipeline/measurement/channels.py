"""What a campaign or automation is worth to whole paths: Markov's removal effect, Shapley's value.

A channel is a campaign, an automation or the API. Both models are computed from all paths of a
goal: the touches of each conversion (`marts.fct_credits`) in order, and messages that were touched
and led to none, as paths that ended in nothing; such a path ends where no touch follows for the
goal's longest window. How conversions and money are shared out by these effects, beside the models
that credit single touches, is `marts.fct_channel_credits`, in SQL.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from duckdb import DuckDBPyConnection

from huntaze_pipeline.measurement import markov, paths, shapley
from huntaze_pipeline.sql import quoted
from huntaze_pipeline.warehouse import lake

TABLE = "raw.channel_effects"
READS = ("marts.fct_credits", "staging.stg_events", "raw.windows")
"""The tables that it is computed from."""
_MOST_TOLD = 10
_UNIT, _STEP = "\x1f", "\x1e"
_SOME = 500
"""Rows of one insert."""
Row = tuple[Any, ...]


def publish(con: DuckDBPyConnection) -> int:
    """Compute all effects anew and replace the table.

    Returns:
        How many rows it has: one for each creator, goal, model and channel.
    """
    rows = [row for key, found in _goals(con) for row in _effects(key, found)]
    lake.write(con, lambda: _replace(con, rows))
    return len(rows)


def summary(con: DuckDBPyConnection) -> str:
    """The channels with the largest effects on purchases, as a Markdown table."""
    rows = con.execute(
        "select source || ' ' || source_id, max(effect) filter (model = 'markov'),"
        f" max(effect) filter (model = 'shapley') from lake.{TABLE}"
        f" where goal = 'purchase' group by all order by 3 desc, 1 limit {_MOST_TOLD}"
    ).fetchall()
    lines = [("channel", "removal effect", "Shapley value"), ("---",) * 3]
    lines += [(name, f"{removal:.4f}", f"{value:.2f}") for name, removal, value in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _goals(con: DuckDBPyConnection) -> Iterator[tuple[tuple[str, str], paths.Paths]]:
    seen = con.execute(_PATHS).fetchall()
    for key, rows in groupby(seen, key=lambda row: (row[0], row[1])):
        yield key, _paths(rows)


def _paths(rows: Iterable[Row]) -> paths.Paths:
    found = list(rows)
    return paths.make(
        [row[2].split(_STEP) for row in found], [row[3] for row in found],
        nulls=[row[4] for row in found],
    )  # fmt: skip


def _effects(key: tuple[str, str], found: paths.Paths) -> Iterator[Row]:
    """Yield the rows of one creator's goal."""
    chain, value = markov.solve(found), shapley.conversions(found)
    for channel, effect in zip(chain.channels, chain.removal, strict=True):
        yield (*key, "markov", *channel.split(_UNIT), float(effect), 0.0, "exact")
    for channel, effect, error in zip(chain.channels, value.value, value.error, strict=True):
        yield (*key, "shapley", *channel.split(_UNIT), float(effect), float(error), value.method)


def _replace(con: DuckDBPyConnection, rows: list[Row]) -> None:
    con.execute(f"delete from lake.{TABLE}")
    for start in range(0, len(rows), _SOME):
        values = ", ".join(_literal(row) for row in rows[start : start + _SOME])
        con.execute(f"insert into lake.{TABLE} values {values}")


def _literal(row: Row) -> str:
    parts = [quoted(v) if isinstance(v, str) else repr(v) for v in row]
    return f"({', '.join(parts)})"


_CHANNEL = "coalesce(source, 'unknown') || chr(31) || coalesce(source_id, 'unknown')"
_PATHS = f"""
    with won as (
        select creator_id, goal, string_agg({_CHANNEL}, chr(30) order by place) as path
        from lake.marts.fct_credits where model = 'linear'
        group by creator_id, goal, conversion_id
    ),
    reaches as (
        select goal, max(seconds) as longest from lake.raw.windows where seconds > 0 group by all
    ),
    touched as (
        select e.creator_id, r.goal, any_value(r.longest) as longest, e.fan_id, e.message_key,
            max(e.occurred_at) as last_at,
            any_value(e.message_source) as source, any_value(e.message_source_id) as source_id
        from lake.staging.stg_events e
        cross join reaches r
        left join lake.raw.windows own
            on own.goal = r.goal and own.touch = e.name and own.platform = e.platform
        left join lake.raw.windows every
            on every.goal = r.goal and every.touch = e.name and every.platform = '*'
        where e.message_key is not null and e.bot is not true
            and coalesce(own.seconds, every.seconds) > 0
        group by e.creator_id, r.goal, e.fan_id, e.message_key
    ),
    idle as (
        select t.*
        from touched t
        anti join (
            select creator_id, goal, fan_id, coalesce(message_id, campaign_id) as message_key
            from lake.marts.fct_credits where model = 'linear'
        ) k on k.creator_id = t.creator_id and k.goal = t.goal and k.fan_id = t.fan_id
            and k.message_key = t.message_key
    ),
    gaps as (
        select *, coalesce(
            last_at - lag(last_at) over fan > to_seconds(longest), true
        )::integer as fresh
        from idle
        window fan as (partition by creator_id, goal, fan_id order by last_at, message_key)
    ),
    runs as (
        select *, sum(fresh) over (
            partition by creator_id, goal, fan_id order by last_at, message_key
        ) as run
        from gaps
    ),
    lost as (
        select creator_id, goal,
            string_agg({_CHANNEL}, chr(30) order by last_at, message_key) as path
        from runs group by creator_id, goal, fan_id, run
    )
    select creator_id, goal, path, sum(conversions)::bigint, sum(nulls)::bigint
    from (
        select creator_id, goal, path, 1 as conversions, 0 as nulls from won
        union all
        select creator_id, goal, path, 0, 1 from lost
    )
    group by all
    order by creator_id, goal, path
"""

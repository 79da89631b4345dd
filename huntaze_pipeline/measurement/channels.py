"""Credit by campaign and automation under every model, those over whole paths included.

A channel is a campaign, an automation or the API. Markov's removal effect and Shapley's value are
computed from all paths of a goal: the touches of each conversion (`marts.fct_credits`) in order,
and messages that were touched and led to none, as paths that ended in nothing; such a path ends
where no touch follows for the goal's longest window. Every model shares out the same sum; what
nobody earned has a row of its own. Credit by single conversion is the lake's own work.
"""

from collections.abc import Iterable
from itertools import groupby
from typing import Any

import numpy as np
from duckdb import DuckDBPyConnection

from huntaze_pipeline.measurement import credits, markov, paths, shapley
from huntaze_pipeline.measurement.moments import Array
from huntaze_pipeline.warehouse import lake

TABLE = "marts.fct_channel_credits"
COLUMNS = {
    "creator_id": "VARCHAR", "goal": "VARCHAR", "currency": "VARCHAR", "model": "VARCHAR",
    "source": "VARCHAR", "source_id": "VARCHAR", "value_micros": "BIGINT",
    "conversions": "DOUBLE", "influenced": "BIGINT", "influenced_micros": "BIGINT",
    "effect": "DOUBLE", "stderr": "DOUBLE", "method": "VARCHAR",
}  # fmt: skip
"""Of the table. Without a source it is what nobody earned. `influenced` counts every conversion
with a touch of the channel in full; `effect` is the removal effect, or the Shapley value in
conversions with its standard error."""
READS = (
    "marts.fct_credits", "marts.fct_attribution", "staging.stg_events", "raw.windows",
)  # fmt: skip
"""The tables that it is computed from."""
MODELS = ("first", "last", "linear", "time_decay", "position", "markov", "shapley")
_MOST_TOLD = 10
_UNIT, _STEP = "\x1f", "\x1e"
_SOME = 500
"""Rows of one insert."""
Row = tuple[Any, ...]


def publish(con: DuckDBPyConnection) -> int:
    """Compute the table anew from `marts.fct_credits` and `marts.fct_attribution`, and replace it.

    Returns:
        How many rows it has.
    """
    con.execute(f"create or replace temp table channel_sums as {_SUMS}")
    rows = _whole(con)
    lake.write(con, lambda: _replace(con, rows))
    con.execute("drop table channel_sums")
    found = con.execute(f"select count(*) from lake.{TABLE}").fetchone()
    return int(found[0]) if found else 0


def summary(con: DuckDBPyConnection) -> str:
    """The channels with the most credit, one model beside the other, as a Markdown table."""
    sums = ", ".join(f"round(sum(value_micros) filter (model = '{m}') / 1e6, 2)" for m in MODELS)
    rows = con.execute(
        f"select coalesce(source || ' ' || source_id, 'nobody'), currency, {sums}"
        f" from lake.{TABLE} where goal = 'purchase' group by all"
        f" order by 3 desc nulls last, 1 limit {_MOST_TOLD}"
    ).fetchall()
    head = ("channel", "currency", *MODELS)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_told(cell) for cell in line)} |" for line in lines)


def _told(cell: Any) -> str:
    return "–" if cell is None else str(cell)


def _replace(con: DuckDBPyConnection, rows: list[Row]) -> None:
    declared = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    con.execute(f"create table if not exists lake.{TABLE} ({declared})")
    con.execute(f"delete from lake.{TABLE}")
    con.execute(f"insert into lake.{TABLE} {_HEURISTICS}")
    for start in range(0, len(rows), _SOME):
        values = ", ".join(_literal(row) for row in rows[start : start + _SOME])
        con.execute(_INSERT.format(values=values))
    con.execute(f"insert into lake.{TABLE} {_NOBODY}")


def _whole(con: DuckDBPyConnection) -> list[Row]:
    """Markov's and Shapley's rows, goal by goal of every creator."""
    seen = con.execute(_PATHS).fetchall()
    sums: dict[tuple[str, str], dict[str | None, tuple[int, int]]] = {}
    for creator, goal, currency, count, micros in con.execute(_TOTALS).fetchall():
        sums.setdefault((creator, goal), {})[currency] = (int(count), int(micros))
    rows: list[Row] = []
    for key, group in groupby(seen, key=lambda row: (row[0], row[1])):
        rows += _shared(key, _paths(group), sums.get(key, {}))
    return rows


def _paths(rows: Iterable[Row]) -> paths.Paths:
    found = list(rows)
    return paths.make(
        [row[2].split(_STEP) for row in found], [row[3] for row in found],
        nulls=[row[4] for row in found],
    )  # fmt: skip


def _shared(
    key: tuple[str, str], found: paths.Paths, sums: dict[str | None, tuple[int, int]]
) -> list[Row]:
    """Share out each currency's conversions and money by both models."""
    chain, value = markov.solve(found), shapley.conversions(found)
    models = (
        ("markov", chain.removal, np.zeros(len(chain.channels)), "exact"),
        ("shapley", value.value, value.error, value.method),
    )
    return [
        (*key, currency, model, *channel.split(_UNIT), micros, part * count, *told)
        for currency, (count, total) in sums.items()
        for model, effects, errors, method in models
        for channel, micros, part, told in _split(chain.channels, total, effects, errors, method)
    ]


def _split(
    channels: list[str], total: int, effects: Array, errors: Array, method: str
) -> list[tuple[str, int, float, Row]]:
    size = float(effects.sum())
    part = effects / size if size > 0 else np.full(len(channels), 1 / max(len(channels), 1))
    amount = np.array([total], dtype=np.int64)
    micros = credits.split(amount, part, np.zeros(1, dtype=np.intp))
    told = [(float(e), float(s), method) for e, s in zip(effects, errors, strict=True)]
    return list(zip(channels, micros.tolist(), part.tolist(), told, strict=True))


def _literal(row: Row) -> str:
    parts = [
        "null" if v is None else lake.quoted(v) if isinstance(v, str) else repr(v) for v in row
    ]
    return f"({', '.join(parts)})"


_CHANNEL = "coalesce(source, 'unknown') || chr(31) || coalesce(source_id, 'unknown')"
_SUMS = """
    select creator_id, goal, currency, coalesce(source, 'unknown') as source,
        coalesce(source_id, 'unknown') as source_id, count(*) as influenced,
        sum(conversion_micros)::bigint as influenced_micros
    from (
        select distinct creator_id, goal, currency, source, source_id, conversion_id,
            conversion_micros
        from lake.marts.fct_credits where model = 'linear'
    )
    group by all
"""
_HEURISTICS = """
    select k.creator_id, k.goal, k.currency, k.model, s.source, s.source_id,
        sum(k.value_micros)::bigint, sum(k.share), any_value(s.influenced),
        any_value(s.influenced_micros), null, null, 'exact'
    from lake.marts.fct_credits k
    join channel_sums s
        on s.creator_id = k.creator_id and s.goal = k.goal
        and s.currency is not distinct from k.currency
        and s.source = coalesce(k.source, 'unknown')
        and s.source_id = coalesce(k.source_id, 'unknown')
    group by k.creator_id, k.goal, k.currency, k.model, s.source, s.source_id
"""
_INSERT = f"""
    insert into lake.{TABLE}
    select w.creator_id, w.goal, w.currency, w.model, w.source, w.source_id, w.value_micros,
        w.conversions, coalesce(s.influenced, 0), coalesce(s.influenced_micros, 0), w.effect,
        w.stderr, w.method
    from (values {{values}}) w (creator_id, goal, currency, model, source, source_id, value_micros,
        conversions, effect, stderr, method)
    left join channel_sums s
        on s.creator_id = w.creator_id and s.goal = w.goal
        and s.currency is not distinct from w.currency and s.source = w.source
        and s.source_id = w.source_id
"""
_NOBODY = """
    select a.creator_id, a.goal, a.currency, m.model, null, null, sum(a.conversion_micros)::bigint,
        count(*)::double, 0, 0, null, null, 'exact'
    from lake.marts.fct_attribution a
    cross join (
        select unnest(['first', 'last', 'linear', 'time_decay', 'position', 'markov', 'shapley'])
            as model
    ) m
    where not a.attributed
    group by all
"""
_TOTALS = """
    select creator_id, goal, currency, count(*), sum(conversion_micros)
    from lake.marts.fct_credits where model = 'last' group by all order by all
"""
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

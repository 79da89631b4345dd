"""Small pictures beside a table's numbers in Dagster, drawn by `measurement.charts`, kept inline.

Here: which rows each picture shows. A picture is never worth a failed build: what cannot be drawn
says so in its place. Nothing is imported before the first picture is drawn.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
import duckdb

from huntaze_pipeline.audience.segments import Delta
from huntaze_pipeline.rulebook.policies import Policies

MANY = 12
"""Bars that a picture holds: the largest."""
ARMS = 18
"""Arms that a picture holds, of whole tests: those with the most recipients."""
LARGEST = 40_000
"""Bytes of a PNG; larger ones are left out, for Dagster keeps every one for ever."""
HOURS = 2
"""How much of the past the picture of sends shows, back from the last send."""

Lake = duckdb.DuckDBPyConnection
Find = Callable[[], Policies]
Metadata = dict[str, dg.MetadataValue]
Rows = list[dict[str, Any]]

_FUNNEL = f"""
    select name, campaign_id as id, sent, opened, clicked, converted
    from lake.metrics.campaign_metrics where sent > 0
    order by sent desc, creator_id, campaign_id limit {MANY}
"""
_MONEY = f"""
    with usual as (
        select currency from lake.metrics.campaign_roi
        group by currency order by sum(revenue_micros + cost_micros) desc, currency limit 1
    )
    select m.name, r.campaign_id as id, r.currency, r.revenue_micros / 1e6 as revenue,
        r.cost_micros / 1e6 as cost, r.roi
    from lake.metrics.campaign_roi r
    join usual using (currency)
    join lake.metrics.campaign_metrics m using (creator_id, campaign_id)
    where r.revenue_micros + r.cost_micros > 0
    order by r.revenue_micros desc, r.creator_id, r.campaign_id limit {MANY}
"""
_ARMS = f"""
    with tests as (
        select creator_id, experiment_id, count(*) as arms, sum(n) as size
        from lake.metrics.experiment_arms where n > 0 group by all
    ),
    largest as (
        from tests
        qualify sum(arms) over (order by size desc, creator_id, experiment_id) <= {ARMS}
    )
    select experiment_id, metric, variant_id as variant, n, sum as x
    from lake.metrics.experiment_arms join largest using (creator_id, experiment_id)
    where n > 0
    order by creator_id, experiment_id, position, variant_id
"""
_SENDS = """
    with standard(platform, allowed, seconds) as (values {standard}),
    sends as (
        select s.account_id, s.minute, s.sends,
            coalesce(a.limit_count, d.allowed)
                * ceil(60 / least(60, coalesce(a.limit_window_s, d.seconds)))::integer as allowed
        from lake.metrics.sends_per_minute s
        join standard d using (platform)
        left join lake.raw.accounts a on a.creator_id = s.creator_id and a.id = s.account_id
        where s.minute >= (select max(minute) - interval {hours} hours
            from lake.metrics.sends_per_minute)
    ),
    usual as (
        select allowed from sends group by allowed order by sum(sends) desc, allowed limit 1
    ),
    minutes as (
        select unnest(generate_series(
            min(minute) - interval 1 minute, max(minute) + interval 1 minute, interval 1 minute
        )) as minute
        from sends
    )
    select minute, coalesce(sum(s.sends), 0)::bigint as sends,
        coalesce(max(s.sends) filter (s.allowed = u.allowed), 0)::bigint as busiest,
        any_value(u.allowed) as allowed
    from minutes left join sends s using (minute) cross join usual u
    group by minute order by minute
"""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture and the sentence under it."""

    svg: str
    caption: str


def of(table: str, lake: Lake, policies: Find) -> Metadata:
    """Return the picture of a table that has just been built; nothing for most tables."""
    draw = _DRAWINGS.get(table)
    return {} if draw is None else _shown(lambda: draw(lake, policies))


def segments(deltas: Sequence[Delta]) -> Metadata:
    """Return the picture of the segments' sizes."""
    largest = sorted(deltas, key=lambda d: (-d.size, d.creator_id, d.segment_id))[:MANY]
    names = [d.segment_id for d in largest]
    rows = [
        {
            "name": d.segment_id
            if names.count(d.segment_id) == 1
            else f"{d.segment_id} ({d.creator_id})",
            "size": d.size,
        }
        for d in largest
    ]
    return _shown(lambda: _sizes(rows))


def _shown(draw: Callable[[], Drawing | None]) -> Metadata:
    """Draw it as inline Markdown; whatever goes wrong is told and goes no further."""
    from huntaze_pipeline.measurement import charts

    try:
        drawing = draw()
        if drawing is None:
            return {}
        png = charts.png(drawing.svg)
    except Exception as error:
        # A database error may repeat its address, password and all.
        why = type(error).__name__ if isinstance(error, duckdb.Error) else repr(error)
        return {"picture": dg.MetadataValue.text(f"could not be drawn: {why}")}
    if len(png) > LARGEST:
        return {"picture": dg.MetadataValue.text(f"left out: {len(png):,} bytes")}
    data = base64.b64encode(png).decode()
    shown = f"![{drawing.caption}](data:image/png;base64,{data})\n\n{drawing.caption}"
    return {"picture": dg.MetadataValue.md(shown)}


def _funnel(lake: Lake, policies: Find) -> Drawing | None:
    from huntaze_pipeline.measurement import charts

    rows = _rows(lake, _FUNNEL)
    if not rows:
        return None
    return Drawing(charts.funnel(_distinct(rows)), f"The campaigns that sent most, up to {MANY}.")


def _money(lake: Lake, policies: Find) -> Drawing | None:
    from huntaze_pipeline.measurement import charts

    rows = _rows(lake, _MONEY)
    if not rows:
        return None
    caption = f"In {rows[0]['currency']}: the campaigns that brought most, up to {MANY}."
    return Drawing(charts.revenue(_distinct(rows)), caption)


def _arms(lake: Lake, policies: Find) -> Drawing | None:
    from huntaze_pipeline.measurement import charts, proportions

    rows = _rows(lake, _ARMS)
    if not rows:
        return None
    lows, highs = proportions.wilson([r["x"] for r in rows], [r["n"] for r in rows])
    table = [
        {
            "experiment": f"{row['experiment_id']}: {row['metric']}",
            "variant": f"{row['variant']} (n = {row['n']:,})",
            "rate": row["x"] / row["n"],
            "ci": (float(low), float(high)),
        }
        for row, low, high in zip(rows, lows, highs, strict=True)
    ]
    return Drawing(charts.arms(table), "Rates of matured recipients with 95 % Wilson intervals.")


def _sends(lake: Lake, policies: Find) -> Drawing | None:
    from huntaze_pipeline.measurement import charts

    limits = {name: policies().limit(name) for name in policies().file.platforms}
    standard = ", ".join(f"('{p}', {found.count}, {found.window_s})" for p, found in limits.items())
    rows = _rows(lake, _SENDS.format(standard=standard, hours=HOURS))
    if not rows:
        return None
    caption = (
        f"Sends a minute (UTC), the last {HOURS} hours of them; below, the busiest of the accounts"
        " that have the usual limit."
    )
    return Drawing(charts.limiter(rows, rows[0]["allowed"]), caption)


def _sizes(rows: Sequence[Mapping[str, Any]]) -> Drawing | None:
    from huntaze_pipeline.measurement import charts

    if not rows:
        return None
    return Drawing(charts.bars(rows, "name", "size", "segments"), f"Fans; up to {MANY} segments.")


def _rows(lake: Lake, query: str) -> Rows:
    return lake.sql(query).pl().to_dicts()


def _distinct(rows: Rows) -> Rows:
    """Give campaigns of one name names that tell them apart."""
    names = [row["name"] for row in rows]
    return [
        row if names.count(row["name"]) == 1 else row | {"name": f"{row['name']} ({row['id']})"}
        for row in rows
    ]


_DRAWINGS: dict[str, Callable[[Lake, Find], Drawing | None]] = {
    "metrics.campaign_metrics": _funnel,
    "metrics.campaign_roi": _money,
    "metrics.experiment_arms": _arms,
    "metrics.sends_per_minute": _sends,
}

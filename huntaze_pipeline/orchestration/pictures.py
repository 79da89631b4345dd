"""Small pictures beside numbers in Dagster, drawn by `reports` as everywhere else, kept inline.

Here: which rows each picture shows. A picture is never worth a failed build: what cannot be drawn
says so in its place. Nothing is imported before the first picture is drawn.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg
import duckdb

from huntaze_pipeline.audience.segments import Delta
from huntaze_pipeline.errors import Problems
from huntaze_pipeline.rulebook.policies import Policies
from huntaze_pipeline.warehouse.reports import Report

if TYPE_CHECKING:
    from huntaze_pipeline.reports.figures import Answer
    from huntaze_pipeline.reports.ready import Charted

MANY = 12
"""Bars that a picture holds: the largest."""
LARGEST = 60_000
"""Bytes of a PNG; larger ones are left out, for Dagster keeps every one for ever."""
HOURS = 2
"""How much of the past the picture of sends shows, back from the last send."""
WIDTH = 760.0

Lake = duckdb.DuckDBPyConnection
Find = Callable[[], Policies]
Metadata = dict[str, dg.MetadataValue]
Rows = list[dict[str, Any]]

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
class Shown:
    """What a picture holds, and the sentence under it."""

    charts: "Sequence[Charted]"
    caption: str


def of(table: str, lake: Lake, policies: Find) -> Metadata:
    """Return the picture of a table that has just been built; nothing for most tables."""
    if table != "metrics.sends_per_minute":
        return {}
    return _shown(lambda: _sends(lake, policies))


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


def report(lake: Lake, found: Report) -> Metadata:
    """Run a report for the creator with the most events; return its pictures and figures.

    Raises:
        WarehouseError: it cannot be run; a report whose values nobody has given is not.
    """
    from huntaze_pipeline.reports import figures

    creator = figures.busiest(lake)
    if creator is None:
        return {"dagster/row_count": dg.MetadataValue.int(0)}
    try:
        values = figures.values(found, {})
    except Problems as error:
        return {"picture": dg.MetadataValue.text(f"needs values: {error}")}
    answer = figures.run(lake, found, figures.tenant(lake, creator), values)
    metadata = {
        "dagster/row_count": dg.MetadataValue.int(len(answer.table.rows)),
        "command": dg.MetadataValue.text(f"huntaze report {found.name} --creator {creator}"),
    }
    return metadata | _shown(lambda: _charts(answer))


def _shown(draw: Callable[[], Shown | None]) -> Metadata:
    """Draw it as inline Markdown; whatever goes wrong is told and goes no further."""
    from huntaze_pipeline.reports import drawing, image

    try:
        shown = draw()
        if shown is None:
            return {}
        png = image.png(drawing.stack(shown.charts, WIDTH), shown.caption)
    except Exception as error:
        # A database error may repeat its address, password and all.
        why = type(error).__name__ if isinstance(error, duckdb.Error) else repr(error)
        return {"picture": dg.MetadataValue.text(f"could not be drawn: {why}")}
    if len(png) > LARGEST:
        return {"picture": dg.MetadataValue.text(f"left out: {len(png):,} bytes")}
    data = base64.b64encode(png).decode()
    text = f"![{shown.caption}](data:image/png;base64,{data})\n\n{shown.caption}"
    return {"picture": dg.MetadataValue.md(text)}


def _charts(answer: "Answer") -> Shown | None:
    header, table = answer.report.header, answer.table
    if not table.rows or not header.chart:
        return None
    caption = f"{header.title}: {answer.tenant.name}, the creator with the most events."
    return Shown([(chart, table) for chart in header.chart], caption)


def _sends(lake: Lake, policies: Find) -> Shown | None:
    from huntaze_pipeline.reports import ready

    limits = {name: policies().limit(name) for name in policies().file.platforms}
    standard = ", ".join(f"('{p}', {found.count}, {found.window_s})" for p, found in limits.items())
    rows = lake.sql(_SENDS.format(standard=standard, hours=HOURS)).pl().to_dicts()
    if not rows:
        return None
    caption = (
        f"Sends a minute (UTC), the last {HOURS} hours of them; below, the busiest of the accounts"
        " that have the usual limit."
    )
    return Shown(ready.sends(rows, rows[0]["allowed"]), caption)


def _sizes(rows: Sequence[Mapping[str, Any]]) -> Shown | None:
    from huntaze_pipeline.reports import ready

    if not rows:
        return None
    charted = ready.sizes(rows, "name", "size", "Fans by segment")
    return Shown([charted], f"Fans; up to {MANY} segments.")

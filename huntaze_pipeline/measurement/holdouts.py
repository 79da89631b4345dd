"""Holdouts in the lake: the sums that `incrementality` compares, and the table of what it found."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import polars as pl
from duckdb import CatalogException, DuckDBPyConnection

from huntaze_pipeline.measurement.incrementality import Incremental
from huntaze_pipeline.sql import quoted
from huntaze_pipeline.warehouse import lake as lakes

TABLE = "metrics.campaign_incremental"
_TEXTS = ("creator_id", "campaign_id", "reason", "note")
_COUNTS = ("treated", "holdout")
SCHEMA = {
    name: pl.String if name in _TEXTS else pl.Int64 if name in _COUNTS else pl.Float64
    for name in Incremental.__dataclass_fields__
}
_SUMS = """
    select h.*, r as returned
    from lake.metrics.campaign_holdout h
    left join lake.metrics.campaign_roi r using (creator_id, campaign_id)
"""


def read(
    con: DuckDBPyConnection, creator_id: str | None = None, campaign_id: str | None = None
) -> list[dict[str, Any]]:
    """Return the sums of both arms of campaigns with a holdout; none before a first build.

    Args:
        con: the lake.
        creator_id: only this creator's.
        campaign_id: only this campaign.
    """
    only = {"h.creator_id": creator_id, "h.campaign_id": campaign_id}
    chosen = [f"{name} = {quoted(value)}" for name, value in only.items() if value is not None]
    try:
        sums = con.sql(f"{_SUMS} where {' and '.join(chosen) or 'true'}")
    except CatalogException:  # nothing was built yet
        return []
    return [_flat(row) for row in sums.pl().to_dicts()]


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Put what the comparison asks of the campaign's return beside the arm's sums."""
    returned = row.pop("returned") or {}
    lacking = returned.get("reason") if returned.get("unconverted") else None
    return row | {"cost_micros": returned.get("cost_micros"), "lacking": lacking}


def store(con: DuckDBPyConnection, found: Sequence[Incremental]) -> None:
    """Replace the lake's `metrics.campaign_incremental`."""
    frame = pl.DataFrame([asdict(row) for row in found], schema=SCHEMA)
    con.register("found", frame)
    try:
        lakes.write(con, lambda: con.execute(f"create or replace table lake.{TABLE} as from found"))
    finally:
        con.unregister("found")


def table(found: Sequence[Incremental], most: int = 100) -> str:
    """Give the results as a Markdown table."""
    rows = [
        f"| {x.campaign_id} | {x.treated:,} | {x.holdout:,} | {_range(x.revenue, x.low, x.high)}"
        f" | {_range(x.roi, x.roi_low, x.roi_high)} | {x.reason or x.note or ''} |"
        for x in found[:most]
    ]
    head = ["| campaign | treated | holdout | incremental revenue | incremental ROI | |"]
    return "\n".join([*head, "|---|---|---|---|---|---|", *rows])


def _range(middle: float | None, low: float | None, high: float | None) -> str:
    if middle is None:
        return "–"
    return f"{middle:,.2f}" + (
        "" if low is None or high is None else f" ({low:,.2f} … {high:,.2f})"
    )

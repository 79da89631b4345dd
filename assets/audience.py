"""Segments: who belongs now, who came and who left."""

import dagster as dg

from huntaze_pipeline.orchestration import pictures, ticks
from huntaze_pipeline.orchestration.factory import key
from huntaze_pipeline.orchestration.resources import Rooms


@dg.asset(
    key=key("audience.segments"),
    deps=[key("marts.fan_facts"), key("raw.fans")],
    description="Every segment's members as of now; entries and exits are kept and published.",
    group_name="audience",
    owners=["team:data"],
    kinds={"duckdb", "polars", "postgres"},
    tags={"layer": "audience"},
)
def segments(rooms: Rooms) -> dg.MaterializeResult:
    """Evaluate all segments in one pass over the fans and store what changed."""
    with rooms.lake() as lake:
        deltas = ticks.refresh(rooms.store, lake, rooms.clock())
    rows = "\n".join(
        f"| {d.creator_id} | {d.segment_id} | {d.size} | +{len(d.entered)} −{len(d.left)} |"
        for d in deltas
    )
    table = f"| creator | segment | size | change |\n|---|---|---|---|\n{rows}"
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": sum(delta.size for delta in deltas),
            "sizes": dg.MetadataValue.md(table),
            **pictures.segments(deltas),
        }
    )

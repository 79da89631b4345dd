"""Segments: who belongs now, who came and who left."""

import dagster as dg

from huntaze_pipeline.orchestration import pictures, quality, ticks
from huntaze_pipeline.orchestration.factory import freshness, key
from huntaze_pipeline.orchestration.resources import Rooms


@dg.asset(
    key=key("audience.segments"),
    deps=[key("marts.fan_facts"), key("raw.fans")],
    description="Every segment's members as of now; entries and exits are kept and published.",
    group_name="audience",
    owners=["team:data"],
    kinds={"duckdb", "polars", "postgres"},
    tags={"layer": "audience"},
    freshness_policy=freshness("2h"),
)
def segments(rooms: Rooms) -> dg.MaterializeResult:
    """Evaluate all segments in one pass over the fans and store what changed."""
    with rooms.lake() as lake:
        tell = dg.get_dagster_logger().warning
        deltas = ticks.refresh(rooms.store, lake, rooms.clock(), tell=tell)
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


@dg.asset_check(
    asset=key("audience.segments"),
    name="audiences_of_the_next_day_meet_their_contract",
    description="Campaigns due within a day, judged before their gate does (Great Expectations).",
)
def audiences(rooms: Rooms) -> dg.AssetCheckResult:
    """Tell a day ahead which campaigns their audience would stop."""
    return quality.audiences(rooms.store, rooms.policies, rooms.settings.models_dir, rooms.clock())

"""Settled numbers, written back to the campaigns that people look at."""

import dagster as dg

from huntaze_pipeline.measurement import channels, holdouts, incrementality, settlement
from huntaze_pipeline.orchestration.factory import WRITERS, freshness, key
from huntaze_pipeline.orchestration.resources import Rooms


@dg.asset(
    key=key("measurement.settled"),
    deps=[key("metrics.campaign_metrics")],
    description="Each campaign's settled metrics, stored with the campaign and its instant.",
    group_name="measurement",
    owners=["team:data"],
    kinds={"postgres"},
    tags={"layer": "measurement"},
    freshness_policy=freshness("26h"),
)
def settled(rooms: Rooms) -> dg.MaterializeResult:
    """Copy the settled counts and revenue to PostgreSQL, where the API reads them."""
    with rooms.lake() as lake:
        rows = lake.sql("from lake.metrics.campaign_metrics").pl().to_dicts()
        (as_of,) = lake.execute("select as_of from lake.raw.clock").fetchone() or (rooms.clock(),)
    with rooms.store.worker() as connection:
        count = settlement.publish(connection, rows, as_of)
    return dg.MaterializeResult(metadata={"dagster/row_count": count})


@dg.asset(
    key=key(channels.TABLE),
    deps=[key(name) for name in channels.READS],
    description="What campaigns and automations are worth to whole paths, by Markov and Shapley.",
    group_name="raw",
    owners=["team:data"],
    kinds={"python", "duckdb"},
    tags={"layer": "raw"},
    metadata={"dagster/table_name": channels.TABLE},
    pool=WRITERS,
)
def channel_effects(rooms: Rooms) -> dg.MaterializeResult:
    """Compute the models over whole paths, for `marts.fct_channel_credits` to share out by."""
    with rooms.lake() as lake:
        rows = channels.publish(lake)
        summary = channels.summary(lake)
    return dg.MaterializeResult(
        metadata={"dagster/row_count": rows, "effects": dg.MetadataValue.md(summary)}
    )


@dg.asset(
    key=key("measurement.incremental"),
    deps=[key("metrics.campaign_roi"), key("metrics.campaign_holdout")],
    description="What each campaign with a holdout brought that would not have come by itself.",
    group_name="measurement",
    owners=["team:data"],
    kinds={"python", "duckdb"},
    tags={"layer": "measurement"},
)
def incremental(rooms: Rooms) -> dg.MaterializeResult:
    """Compare treated fans with the holdout: revenue and ROI with their intervals."""
    with rooms.lake() as lake:
        found = incrementality.incremental(holdouts.read(lake))
        holdouts.store(lake, found)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(found),
            "effects": dg.MetadataValue.md(holdouts.table(found)),
        }
    )

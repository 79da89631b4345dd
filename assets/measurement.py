"""Settled numbers, written back to the campaigns that people look at."""

import dagster as dg

from huntaze_pipeline.measurement import settlement
from huntaze_pipeline.orchestration.factory import freshness, key
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

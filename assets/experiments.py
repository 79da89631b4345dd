"""A/B tests: one look at every running experiment, and the winner where there is one."""

import dagster as dg

from huntaze_pipeline.measurement import looks
from huntaze_pipeline.orchestration.factory import freshness, key
from huntaze_pipeline.orchestration.resources import Rooms


@dg.asset(
    key=key("experiments.winners"),
    deps=[key("metrics.experiment_arms")],
    description="Every experiment's newest look: its state and, where one beats all, the winner.",
    group_name="experiments",
    owners=["team:data"],
    kinds={"python", "postgres"},
    tags={"layer": "experiments"},
    freshness_policy=freshness("26h"),
)
def winners(rooms: Rooms) -> dg.MaterializeResult:
    """Decide from matured counts; a look that was taken already is not taken again."""
    with rooms.lake() as lake:
        arms = lake.sql("from lake.metrics.experiment_arms").pl().to_dicts()
        (as_of,) = lake.execute("select as_of from lake.raw.clock").fetchone() or (rooms.clock(),)
    with rooms.store.worker() as connection:
        judged = looks.judge(connection, arms, as_of)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(judged.looks),
            "looks": dg.MetadataValue.md(looks.table(judged.looks)),
            "faults": [str(fault) for fault in judged.faults],
        }
    )

"""New events → automations: the inbox is read in order of arrival and the rules answer."""

import dagster as dg

from huntaze_pipeline.orchestration import ticks
from huntaze_pipeline.orchestration.drain import drain
from huntaze_pipeline.orchestration.resources import Rooms


@dg.sensor(
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Lets automations react to new events of the inbox, within a second.",
)
def new_events(context: dg.SensorEvaluationContext, rooms: Rooms) -> dg.SkipReason:
    """Read, decide and write the outbox inside the tick; no run is launched (law 10)."""
    store, policies = rooms.store, rooms.policies
    with rooms.lake() as lake:
        drained = drain(
            lambda: ticks.react(store, lake, policies, rooms.clock(), context.log.warning)
        )
    return dg.SkipReason(f"{drained.done} events read in {drained.rounds} rounds")

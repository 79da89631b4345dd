"""Delayed steps of automations that have come due → messages."""

import dagster as dg

from huntaze_pipeline.orchestration import ticks
from huntaze_pipeline.orchestration.drain import drain
from huntaze_pipeline.orchestration.resources import Rooms


@dg.sensor(
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Takes the steps of automations whose delay is over; conditions are asked again.",
)
def automations(context: dg.SensorEvaluationContext, rooms: Rooms) -> dg.SkipReason:
    """Wake what is due inside the tick."""
    store, policies = rooms.store, rooms.policies
    with rooms.lake() as lake:
        drained = drain(
            lambda: ticks.wake(store, lake, policies, rooms.clock(), context.log.warning),
            pause_s=0.5,
        )
    return dg.SkipReason(f"{drained.done} steps taken in {drained.rounds} rounds")

"""Delayed steps of automations that have come due → messages."""

import dagster as dg

from huntaze_pipeline.orchestration import ticks, watch
from huntaze_pipeline.orchestration.resources import Rooms
from huntaze_pipeline.orchestration.shift import Job, Tell, Work
from huntaze_pipeline.orchestration.ticks import Lake


@watch.sensor(
    description="Takes the steps of automations whose delay is over; conditions are asked again.",
)
def automations(context: dg.SensorEvaluationContext, rooms: Rooms) -> dg.SkipReason:
    """Keep waking what is due; a tick says how many steps were taken since the last."""
    store, policies = rooms.store, rooms.policies

    def work(lake: Lake, tell: Tell) -> Work:
        return lambda: ticks.wake(store, lake, policies, rooms.clock(), tell)

    return watch.keep(
        context, rooms, "automations", Job(rooms.lake, work), "steps taken", pause_s=0.5
    )

"""Delayed steps of automations that have come due → messages."""

import dagster as dg

from huntaze_pipeline.orchestration import ticks
from huntaze_pipeline.orchestration.resources import Rooms
from huntaze_pipeline.orchestration.shift import EVERY_S, SHIFTS, Job, Tell, Work
from huntaze_pipeline.orchestration.ticks import Lake


@dg.sensor(
    minimum_interval_seconds=EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Takes the steps of automations whose delay is over; conditions are asked again.",
)
def automations(context: dg.SensorEvaluationContext, rooms: Rooms) -> dg.SkipReason:
    """Keep waking what is due; a tick says how many steps were taken since the last."""
    store, policies = rooms.store, rooms.policies

    def work(lake: Lake, tell: Tell) -> Work:
        return lambda: ticks.wake(store, lake, policies, rooms.clock(), tell)

    drained = SHIFTS.tick(
        "automations", Job(rooms.lake, work), context.log.warning, linger=rooms.linger_s,
        pause_s=0.5,
    )  # fmt: skip
    return dg.SkipReason(f"{drained.done} steps taken in {drained.rounds} rounds")

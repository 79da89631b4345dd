"""Schedules, anniversaries and silences → events, which the automations react to."""

import dagster as dg

from huntaze_pipeline.orchestration import ticks
from huntaze_pipeline.orchestration.resources import Rooms
from huntaze_pipeline.orchestration.shift import EVERY_S, SHIFTS, Job, Tell, Work
from huntaze_pipeline.orchestration.ticks import Lake


@dg.sensor(
    minimum_interval_seconds=EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Makes events of the times that rules wait for; late ones are told, not sent.",
)
def clock(context: dg.SensorEvaluationContext, rooms: Rooms) -> dg.SkipReason:
    """Keep looking at the clock; one event for each fan and occurrence, ever."""
    store = rooms.store

    def work(lake: Lake, tell: Tell) -> Work:
        return lambda: ticks.chime(store, lake, rooms.clock(), tell)

    drained = SHIFTS.tick(
        "clock", Job(rooms.lake, work), context.log.warning, linger=rooms.linger_s, pause_s=1.0
    )
    return dg.SkipReason(f"{drained.done} events made or read in {drained.rounds} rounds")

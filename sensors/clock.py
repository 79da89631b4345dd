"""Schedules, anniversaries and silences → events, which the automations react to."""

import dagster as dg

from huntaze_pipeline.orchestration import ticks, watch
from huntaze_pipeline.orchestration.resources import Rooms
from huntaze_pipeline.orchestration.shift import Job, Tell, Work
from huntaze_pipeline.orchestration.ticks import Lake


@watch.sensor(
    description="Makes events of the times that rules wait for; late ones are told, not sent.",
)
def clock(context: dg.SensorEvaluationContext, rooms: Rooms) -> dg.SkipReason:
    """Keep looking at the clock; one event for each fan and occurrence, ever."""
    store = rooms.store

    def work(lake: Lake, tell: Tell) -> Work:
        return lambda: ticks.chime(store, lake, rooms.clock(), tell)

    return watch.keep(
        context, rooms, "clock", Job(rooms.lake, work), "events made or read", pause_s=1.0
    )

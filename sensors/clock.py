"""Schedules, anniversaries and silences → events, which the automations react to."""

import dagster as dg

from huntaze_pipeline.orchestration import ticks
from huntaze_pipeline.orchestration.drain import drain
from huntaze_pipeline.orchestration.resources import Rooms


@dg.sensor(
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Makes events of the times that rules wait for; late ones are told, not sent.",
)
def clock(context: dg.SensorEvaluationContext, rooms: Rooms) -> dg.SkipReason:
    """Look at the clock inside the tick; one event for each fan and occurrence, ever."""
    store = rooms.store
    with rooms.lake() as lake:
        drained = drain(
            lambda: ticks.chime(store, lake, rooms.clock(), context.log.warning), pause_s=0.5
        )
    return dg.SkipReason(f"{drained.done} events made or read in {drained.rounds} rounds")

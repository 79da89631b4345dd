"""Campaigns whose time has come → one decision per member of the audience."""

import dagster as dg

from huntaze_pipeline.orchestration import ticks
from huntaze_pipeline.orchestration.drain import drain
from huntaze_pipeline.orchestration.resources import Rooms


@dg.sensor(
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts campaigns that are due: audience, gates, variants, messages as rows.",
)
def due_campaigns(rooms: Rooms) -> dg.SkipReason:
    """Decide a whole audience in one transaction; a tick that repeats decides nothing anew."""
    store, policies = rooms.store, rooms.policies
    with rooms.lake() as lake:
        drained = drain(lambda: ticks.start(store, lake, policies, rooms.clock()), pause_s=0.5)
    return dg.SkipReason(f"{drained.done} decisions in {drained.rounds} rounds")

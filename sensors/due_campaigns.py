"""Campaigns whose time has come → one decision per member of the audience."""

import dagster as dg

from huntaze_pipeline.orchestration import ticks, watch
from huntaze_pipeline.orchestration.resources import Rooms
from huntaze_pipeline.orchestration.shift import Job, Tell, Work
from huntaze_pipeline.orchestration.ticks import Lake


@watch.sensor(
    description="Starts campaigns that are due: audience, gates, variants, messages as rows.",
)
def due_campaigns(context: dg.SensorEvaluationContext, rooms: Rooms) -> dg.SkipReason:
    """Decide each whole audience in one transaction; a round that repeats decides nothing anew."""
    store, policies = rooms.store, rooms.policies

    def work(lake: Lake, tell: Tell) -> Work:
        return lambda: ticks.start(store, lake, policies, rooms.clock(), tell)

    return watch.keep(
        context, rooms, "due_campaigns", Job(rooms.lake, work), "decisions", pause_s=1.0
    )

"""Campaigns whose time has come → one decision per member of the audience."""

import dagster as dg

from huntaze_pipeline.orchestration import ticks
from huntaze_pipeline.orchestration.resources import Rooms
from huntaze_pipeline.orchestration.shift import EVERY_S, SHIFTS, Job, Tell, Work
from huntaze_pipeline.orchestration.ticks import Lake


@dg.sensor(
    minimum_interval_seconds=EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts campaigns that are due: audience, gates, variants, messages as rows.",
)
def due_campaigns(context: dg.SensorEvaluationContext, rooms: Rooms) -> dg.SkipReason:
    """Decide each whole audience in one transaction; a round that repeats decides nothing anew."""
    store, policies = rooms.store, rooms.policies

    def work(lake: Lake, tell: Tell) -> Work:
        return lambda: ticks.start(store, lake, policies, rooms.clock(), tell)

    drained = SHIFTS.tick(
        "due_campaigns", Job(rooms.lake, work), context.log.warning, linger=rooms.linger_s,
        pause_s=1.0,
    )  # fmt: skip
    return dg.SkipReason(f"{drained.done} decisions in {drained.rounds} rounds")

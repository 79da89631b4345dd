"""The shape of a sensor whose loop goes on between its ticks: how it is declared, what it reports.

What a loop does is a function of `ticks`; how it goes on is `shift`.
"""

from functools import partial

import dagster as dg

from huntaze_pipeline.orchestration.resources import Rooms
from huntaze_pipeline.orchestration.shift import EVERY_S, SHIFTS, Job

sensor = partial(
    dg.sensor,
    minimum_interval_seconds=EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
"""Declares one; it runs as soon as the location is loaded."""


def keep(
    context: dg.SensorEvaluationContext,
    rooms: Rooms,
    name: str,
    job: Job,
    done: str,
    *,
    pause_s: float = 0.1,
) -> dg.SkipReason:
    """Let a sensor's loop go on; return what it did since the last tick, in a sentence.

    Args:
        context: the tick's.
        rooms: say how long the loop goes on without another tick.
        name: whose loop.
        job: what to do from now on.
        done: what one unit of the work is called: `steps taken`.
        pause_s: how long it waits after finding nothing.
    """
    drained = SHIFTS.tick(name, job, context.log.warning, linger=rooms.linger_s, pause_s=pause_s)
    return dg.SkipReason(f"{drained.done} {done} in {drained.rounds} rounds")

"""Messages that are due → SQS: the relay between the outbox and the sender."""

import dagster as dg

from huntaze_pipeline.orchestration import ticks
from huntaze_pipeline.orchestration.drain import drain
from huntaze_pipeline.orchestration.resources import Rooms


@dg.sensor(
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Publishes due messages; when SQS is away they are parked under the same limiter.",
)
def due_messages(rooms: Rooms) -> dg.SkipReason:
    """Ring SQS for every message whose moment has come."""
    with rooms.doorbell() as bell:
        drained = drain(lambda: ticks.ring(bell, rooms.clock()))
    return dg.SkipReason(f"{drained.done} messages published in {drained.rounds} rounds")

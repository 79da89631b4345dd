"""Messages that are due → SQS: the relay between the outbox and the sender."""

import dagster as dg

from huntaze_pipeline.delivery.outfit import Parts
from huntaze_pipeline.orchestration import ticks
from huntaze_pipeline.orchestration.resources import Rooms
from huntaze_pipeline.orchestration.shift import EVERY_S, SHIFTS, Job, Tell, Work


@dg.sensor(
    minimum_interval_seconds=EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Publishes due messages; when SQS is away they are parked under the same limiter.",
)
def due_messages(context: dg.SensorEvaluationContext, rooms: Rooms) -> dg.SkipReason:
    """Keep ringing SQS for every message whose moment has come."""

    def work(bell: Parts, _: Tell) -> Work:
        return lambda: ticks.ring(bell, rooms.clock())

    drained = SHIFTS.tick(
        "due_messages", Job(rooms.doorbell, work), context.log.warning, linger=rooms.linger_s
    )
    return dg.SkipReason(f"{drained.done} messages published in {drained.rounds} rounds")

"""Messages that are due → SQS: the relay between the outbox and the sender."""

import dagster as dg

from huntaze_pipeline.delivery.outfit import Parts
from huntaze_pipeline.orchestration import ticks, watch
from huntaze_pipeline.orchestration.resources import Rooms
from huntaze_pipeline.orchestration.shift import Job, Tell, Work


@watch.sensor(
    description="Publishes due messages; when SQS is away they are parked under the same limiter.",
)
def due_messages(context: dg.SensorEvaluationContext, rooms: Rooms) -> dg.SkipReason:
    """Keep ringing SQS for every message whose moment has come."""

    def work(bell: Parts, _: Tell) -> Work:
        return lambda: ticks.ring(bell, rooms.clock())

    return watch.keep(
        context, rooms, "due_messages", Job(rooms.doorbell, work), "messages published"
    )

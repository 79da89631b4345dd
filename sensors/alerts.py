"""Alarms: what happened since the last push goes to CloudWatch, which judges it."""

import dagster as dg

from huntaze_pipeline.monitoring import alarms, circuits, cloudwatch, pusher
from huntaze_pipeline.orchestration.resources import Rooms
from huntaze_pipeline.warehouse import bots, goals


@dg.sensor(
    minimum_interval_seconds=59,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Pushes the metrics of the last minute to CloudWatch, where the alarms watch them.",
)
def alerts(rooms: Rooms) -> dg.SkipReason:
    """Push once a minute; a push that failed is made up by the next one."""
    given = rooms.settings
    with rooms.doorbell() as bell:
        sent = pusher.push(
            rooms.store,
            cloudwatch.connect(given),
            alarms.load(given.rules_dir).namespace,
            now=rooms.clock(),
            goals=goals.declared(given.rules_dir),
            bots=bots.load(given.rules_dir),
            queue=bell.queue,
            open_circuits=circuits.states(given, rooms.store),
        )
    return dg.SkipReason(f"{sent} metrics pushed")

"""Webhooks of automations' steps → servers outside."""

from contextlib import nullcontext

import dagster as dg

from huntaze_pipeline.orchestration import ticks, watch
from huntaze_pipeline.orchestration.resources import Rooms
from huntaze_pipeline.orchestration.shift import Job, Tell, Work


@watch.sensor(
    description="Delivers webhooks, signed; what fails is tried again, later and later.",
)
def webhooks(context: dg.SensorEvaluationContext, rooms: Rooms) -> dg.SkipReason:
    """Keep sending what is due; each attempt is kept."""
    store, secret = rooms.store, rooms.settings.webhook_secret
    if not secret:
        return dg.SkipReason("HUNTAZE_WEBHOOK_SECRET is not set: webhooks wait")
    key = secret.get_secret_value().encode()

    def work(_: None, tell: Tell) -> Work:
        return lambda: ticks.post(store, key, rooms.clock(), tell)

    return watch.keep(
        context, rooms, "webhooks", Job(nullcontext, work), "webhooks tried", pause_s=0.5
    )

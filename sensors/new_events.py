"""New events → automations: the inbox is read in order of arrival and the rules answer."""

import dagster as dg

from huntaze_pipeline.orchestration import ticks, watch
from huntaze_pipeline.orchestration.resources import Rooms
from huntaze_pipeline.orchestration.shift import Job, Tell, Work
from huntaze_pipeline.orchestration.ticks import Lake


@watch.sensor(
    description="Lets automations react to new events of the inbox, within a second.",
)
def new_events(context: dg.SensorEvaluationContext, rooms: Rooms) -> dg.SkipReason:
    """Keep reading, deciding and writing the outbox; no run is launched (law 10)."""
    store, policies = rooms.store, rooms.policies

    def work(lake: Lake, tell: Tell) -> Work:
        ticks.count(store, lake)
        return lambda: ticks.react(store, lake, policies, rooms.clock(), tell)

    return watch.keep(
        context, rooms, "new_events", Job(rooms.lake, work), "events read", pause_s=0.05
    )

"""The code location: the only place that knows every asset, sensor, schedule and resource.

`build_defs` puts them together; overrides serve tests and other locations. Assembly reads the model
files, opens nothing and imports nothing slow (law 12).
"""

import logging
from pathlib import Path
from typing import Any

import dagster as dg

from assets import audience, delivery, events, experiments, measurement, models, reports
from huntaze_pipeline import settings
from huntaze_pipeline.errors import ModelError
from huntaze_pipeline.orchestration.resources import Rooms
from huntaze_pipeline.orchestration.shift import LINGER_S
from sensors import (
    alerts,
    automations,
    clock,
    due_campaigns,
    due_messages,
    new_events,
    schedules,
    webhooks,
)


def build_defs(models_dir: Path | None = None, **resources: Any) -> dg.Definitions:
    """Assemble the code location.

    Args:
        models_dir: where the SQL models are; default: the settings' folder.
        resources: resources by name that replace ours.

    Raises:
        ModelError: SQL models have faults; all of them, with file:line.
    """
    folder = models_dir or settings.load().models_dir
    tables, audits = models.tables(folder)
    return _assembled([*tables, *reports.pages(folder)], audits, resources)


def _assembled(tables: list[Any], audits: list[Any], resources: dict[str, Any]) -> dg.Definitions:
    return dg.Definitions(
        assets=[
            events.events,
            events.copies,
            events.lines,
            *tables,
            audience.segments,
            experiments.winners,
            measurement.settled,
            measurement.channel_effects,
            measurement.incremental,
            delivery.outbox,
            delivery.sender,
            delivery.receipts,
        ],
        asset_checks=[events.contract, events.held, audience.audiences, *audits],
        sensors=[
            new_events.new_events,
            automations.automations,
            due_campaigns.due_campaigns,
            due_messages.due_messages,
            clock.clock,
            webhooks.webhooks,
            alerts.alerts,
        ],
        schedules=[
            schedules.hourly_numbers,
            schedules.nightly_reports,
            schedules.retention_schedule,
        ],
        jobs=[schedules.models, schedules.numbers, schedules.everything, schedules.cleaning],
        resources={"rooms": Rooms(linger_s=LINGER_S)} | resources,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Return what Dagster loads."""
    return loaded()


def loaded() -> dg.Definitions:
    """Assemble the code location, with or without its SQL models and reports.

    A broken SQL model must not stop what sends: sensors and the other assets stay, the last good
    tables are served, and the fault stands in the log and in the graph, with file and line. A
    broken report stops no table.
    """
    folder = settings.load().models_dir
    try:
        tables, audits = models.tables(folder)
    except ModelError as error:
        return _assembled([_broken("models", error)], [], {})
    try:
        pages: list[Any] = list(reports.pages(folder))
    except ModelError as error:
        pages = [_broken("reports", error)]
    return _assembled([*tables, *pages], audits, {})


def _broken(what: str, error: ModelError) -> dg.AssetSpec:
    """Tell the fault in the log, and show it where its assets would be."""
    logging.getLogger("dagster.huntaze").error("SQL %s are broken:\n%s", what, error)
    return dg.AssetSpec(
        dg.AssetKey([what, "broken"]),
        description=f"These files keep the SQL {what} from loading; mend and reload:\n\n{error}",
        group_name="broken",
        owners=["team:data"],
        kinds={"sql"},
    )

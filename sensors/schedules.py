"""What runs by the clock: models every hour, measurement at night, retention after it."""

import dagster as dg

from huntaze_pipeline.orchestration import retention
from huntaze_pipeline.orchestration.resources import Rooms
from huntaze_pipeline.warehouse import care
from huntaze_pipeline.warehouse import models as models_

RUNNING = dg.DefaultScheduleStatus.RUNNING
IN_PROCESS = dg.in_process_executor
"""One process for a whole build: DuckDB holds all cores anyway, and a process costs seconds."""

models = dg.define_asset_job(
    "models",
    selection=dg.AssetSelection.groups("raw", "staging", "marts", "audience").without_checks(),
    description="Events into the lake, staging, marts and segments; the checks come with the rest.",
    executor_def=IN_PROCESS,
)
numbers = dg.define_asset_job(
    "numbers",
    selection=dg.AssetSelection.all() - dg.AssetSelection.groups("reports"),
    description="All tables, settled numbers and a look at every running test; no reports.",
    executor_def=IN_PROCESS,
)
everything = dg.define_asset_job(
    "everything",
    selection=dg.AssetSelection.all(),
    description="The whole loop of tables, and the reports.",
    executor_def=IN_PROCESS,
)

hourly_numbers = dg.ScheduleDefinition(
    name="hourly_numbers", job=numbers, cron_schedule="5 * * * *", default_status=RUNNING
)
nightly_reports = dg.ScheduleDefinition(
    name="nightly_reports", job=everything, cron_schedule="30 3 * * *", default_status=RUNNING
)


@dg.op
def prune(context: dg.OpExecutionContext, rooms: Rooms) -> None:
    """Delete what nobody will ask for again, and put the lake's files in order."""
    runs = retention.runs(context.instance, rooms.clock())
    checks = retention.checks(rooms.store, rooms.clock())
    project = models_.load(rooms.settings.models_dir)
    with rooms.lake() as lake:
        cared = care.run(lake, rooms.clock(), project)
    context.log.info("deleted %s runs and %s results of checks; %s", runs, checks, cared)


@dg.job(executor_def=IN_PROCESS, description="Keeps Dagster's log and the lake from growing.")
def cleaning() -> None:
    """Prune."""
    prune()


retention_schedule = dg.ScheduleDefinition(
    name="retention", job=cleaning, cron_schedule="0 5 * * *", default_status=RUNNING
)

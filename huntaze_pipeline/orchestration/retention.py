"""Which runs may go, and when: Dagster keeps every one for ever. The lake's own is `care`'s."""

from datetime import datetime, timedelta

import dagster as dg

from huntaze_pipeline.quality import history
from huntaze_pipeline.store.session import Store

RUNS = timedelta(days=30)
CHECKS = timedelta(days=90)
BATCH = 500


def runs(instance: dg.DagsterInstance, now: datetime, keep: timedelta = RUNS) -> int:
    """Delete finished runs older than `keep`, a batch at most; return how many."""
    ended = dg.RunsFilter(
        statuses=[
            dg.DagsterRunStatus.SUCCESS,
            dg.DagsterRunStatus.FAILURE,
            dg.DagsterRunStatus.CANCELED,
        ],
        created_before=now - keep,
    )
    records = instance.get_run_records(ended, limit=BATCH)
    for record in records:
        instance.delete_run(record.dagster_run.run_id)
    return len(records)


def checks(store: Store, now: datetime, keep: timedelta = CHECKS) -> int:
    """Delete results of data checks older than `keep`; return how many."""
    with store.worker() as connection:
        return history.forget(connection, now - keep)

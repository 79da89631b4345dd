"""What may go, and when: Dagster keeps every run for ever, and DuckLake every snapshot.

Replay needs the snapshots of the decisions that people still ask about, hence their longer life.
"""

from datetime import datetime, timedelta

import dagster as dg
import duckdb

from huntaze_pipeline.quality import history
from huntaze_pipeline.store.session import Store

RUNS = timedelta(days=30)
SNAPSHOTS = timedelta(days=90)
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
    found = instance.get_run_records(ended, limit=BATCH)
    for record in found:
        instance.delete_run(record.dagster_run.run_id)
    return len(found)


def checks(store: Store, now: datetime, keep: timedelta = CHECKS) -> int:
    """Delete results of data checks older than `keep`; return how many."""
    with store.worker() as connection:
        return history.forget(connection, now - keep)


def snapshots(lake: duckdb.DuckDBPyConnection, keep: timedelta = SNAPSHOTS) -> int:
    """Expire lake snapshots older than `keep`, delete what nothing needs; return how many."""
    days = keep.days
    expired = lake.execute(
        f"call ducklake_expire_snapshots('lake', older_than => now() - interval '{days} days')"
    ).fetchall()
    lake.execute("call ducklake_merge_adjacent_files('lake')")
    lake.execute(
        f"call ducklake_cleanup_old_files('lake', older_than => now() - interval '{days} days')"
    )
    return len(expired)

"""Care of the lake: small files joined, deleted rows dropped, old snapshots and lost files gone.

What replay and `--as-of` may still ask for is kept: snapshots younger than `KEEP`, and those that
decisions of that time were made from. Days get files of their own once they are large enough; below
that, files in the order of time are skipped by their minimum and maximum just as well.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from duckdb import DuckDBPyConnection

from huntaze_pipeline.warehouse import changes, lake, runner
from huntaze_pipeline.warehouse.changes import CATALOG, State
from huntaze_pipeline.warehouse.models import Project

KEEP = timedelta(days=90)
GRACE = timedelta(days=1)
"""Files that nothing refers to any more stay this long: somebody may still be reading them."""
LOST = timedelta(days=7)
"""Files that were never referred to (a writer died) stay this long."""
DENSE = 500_000
"""Events a day from which on a day has files of its own."""
_WASTE = 0.2
"""Share of deleted rows from which on a file is written anew."""


@dataclass(frozen=True, slots=True)
class Cared:
    """What was done."""

    expired: int
    """Snapshots that nobody can ask for any more."""
    rewritten: int
    """Tables whose files held many deleted rows."""
    merged: int
    """Tables whose small files were joined."""
    deleted: int
    """Files that are gone from the disk."""
    partitioned: bool
    """Whether events were given files by day just now."""


def run(
    con: DuckDBPyConnection, now: datetime, project: Project | None = None, keep: timedelta = KEEP
) -> Cared:
    """Do all of it; safe beside writers and readers.

    Args:
        con: the lake.
        now: aware UTC.
        project: the models; those that are up to date need no older snapshot.
        keep: how far back snapshots can be asked for.
    """
    if project is not None:
        advance(con, project)
    partitioned = _partition(con)
    before = _limit(con, now - keep)
    expired = _call(con, "expire_snapshots", f"older_than => timestamptz '{before.isoformat()}'")
    _call(con, "flush_inlined_data")
    rewritten = _call(con, "rewrite_data_files", f"delete_threshold => {_WASTE}")
    merged = _call(con, "merge_adjacent_files")
    gone = _call(con, "cleanup_old_files", f"older_than => timestamptz '{now - GRACE}'")
    lost = _call(con, "delete_orphaned_files", f"older_than => timestamptz '{now - LOST}'")
    return Cared(expired, rewritten, merged, gone + lost, partitioned)


def advance(con: DuckDBPyConnection, project: Project) -> None:
    """Let models that are up to date start from the newest snapshot from now on."""

    def work() -> None:
        seen = changes.survey(con)
        changes.note(
            con,
            {
                model.name: State(state.version, seen.upto)
                for model in project.models
                if (state := seen.states.get(model.name)) is not None
                and state.snapshot < seen.upto
                and runner.current(seen, project, model)
            },
        )

    lake.write(con, work)


def _limit(con: DuckDBPyConnection, wanted: datetime) -> datetime:
    """Keep the snapshots that decisions since `wanted` were made from."""
    row = con.execute(
        f"select min(s.snapshot_time) from {CATALOG}.ducklake_snapshot s where s.snapshot_id in ("
        " select min(snapshot_id) from lake.raw.executions"
        f" where entered_at >= timestamptz '{wanted}' union all"
        " select min(snapshot_id) from lake.raw.messages"
        f" where decided_at >= timestamptz '{wanted}')"
    ).fetchone()
    return min(wanted, row[0]) if row and row[0] else wanted


def _partition(con: DuckDBPyConnection) -> bool:
    """Give days of events files of their own when a day is large and has none yet."""
    row = con.execute(
        "select count(*) / greatest(1, date_diff('day', min(occurred_at), max(occurred_at)))"
        " from lake.raw.events"
    ).fetchone()
    there = con.execute(
        f"select 1 from {CATALOG}.ducklake_partition_info p join {CATALOG}.ducklake_table t"
        " using (table_id) where t.table_name = 'events' and p.end_snapshot is null"
    ).fetchone()
    if there or row is None or row[0] is None or row[0] < DENSE:
        return False
    by = "year(occurred_at), month(occurred_at), day(occurred_at)"
    lake.write(con, lambda: con.execute(f"alter table lake.raw.events set partitioned by ({by})"))
    return True


def _call(con: DuckDBPyConnection, function: str, options: str = "") -> int:
    rest = f", {options}" if options else ""
    return len(con.execute(f"call ducklake_{function}('lake'{rest})").fetchall())


@dataclass(frozen=True, slots=True)
class Stored:
    """One table on the disk."""

    table: str
    files: int
    bytes: int
    deletes: int
    """Files that say which rows are gone."""


def stored(con: DuckDBPyConnection) -> list[Stored]:
    """Return what each table takes, the largest first."""
    rows = con.execute(
        "select s.schema_name || '.' || i.table_name, i.file_count, i.file_size_bytes,"
        f" i.delete_file_count from ducklake_table_info('lake') i"
        f" join {CATALOG}.ducklake_schema s on s.schema_id = i.schema_id"
        " order by i.file_size_bytes desc, 1"
    ).fetchall()
    return [Stored(str(n), int(f), int(b), int(d)) for n, f, b, d in rows]

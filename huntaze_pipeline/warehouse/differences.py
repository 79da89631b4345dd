"""How rows that were computed anew differ from those that a table holds.

Only what differs is written, so that whatever reads the table has little to take in either.
"""

from dataclasses import dataclass

from huntaze_pipeline.warehouse.journal import Feed
from huntaze_pipeline.warehouse.task import Task

_MOST = 0.5
"""Above this share of a table's rows all of them are written anew."""
_FEW = 10_000
"""So many rows are always written alone."""


@dataclass(frozen=True, slots=True)
class Change:
    """What has to be written to a table, and taken out of it."""

    feed: Feed
    came: int
    left: int
    ids: str | None = None
    """A SELECT of the lake's own ids of the rows that go; None when none do, or all."""


def keep(task: Task, *rows: str) -> str:
    """Keep rows of the task's table with the lake's ids of them, as `_row`; return where.

    Args:
        task: whose table.
        rows: what stands behind the FROM of a SELECT in which the table is `t`; once or more.
    """
    there = task.journal.table("there", task.model.name)
    parts = (f"select t.rowid as _row, {task.names} from {part}" for part in rows)
    task.con.execute(f"create or replace temp table {there} as {' union all '.join(parts)}")
    return there


def find(task: Task, fresh: str, there: str) -> Change:
    """Gather what is fresh and not in the table, and which rows of it have to go for that.

    Args:
        task: whose rows.
        fresh: a SELECT of the rows computed anew; the task checks them first.
        there: the rows that they stand for (`keep`).
    """
    made = _made(task, fresh)
    all_made, all_there = count(task, made), count(task, there)
    if not all_there:  # as on every new day: nothing to compare with
        return Change(Feed(f"(select {task.names} from {made})", None), all_made, 0)
    changed = task.journal.table("changed", task.model.name)
    task.con.execute(f"create or replace temp table {changed} as {_changed(task, made, there)}")
    came, left = _numbers(task, changed)
    came_rows = _of(task, made, "rowid", changed, came == all_made)
    if not left:
        return Change(Feed(came_rows, None), came, 0)
    left_rows = _of(task, there, "_row", changed, left == all_there)
    ids = f"select there from {changed}"
    return Change(Feed(came_rows, left_rows), came, left, ids)


def most(task: Task, keys: str) -> bool:
    """Say whether a relation of keys names most rows of the table, and many."""
    number = count(task, keys)
    return number > _FEW and number > _MOST * count(task, task.table)


def replace(task: Task, fresh: str, there: str) -> Change:
    """Put the whole computed anew in the place of all that is there.

    Where most rows are others anyway, telling them from the rest costs more than writing it.

    Args:
        task: whose rows.
        fresh: a SELECT of all rows, computed anew.
        there: all rows of the table (`keep`).
    """
    made = _made(task, fresh)
    came, left = (f"(select {task.names} from {rows})" for rows in (made, there))
    return Change(Feed(came, left), count(task, made), count(task, there))


def count(task: Task, table: str) -> int:
    """Return how many rows there are."""
    row = task.con.execute(f"select count(*) from {table}").fetchone()
    return int(row[0]) if row else 0


def _made(task: Task, fresh: str) -> str:
    """Compute rows anew and check them; return where they are."""
    made = task.journal.table("fresh", task.model.name)
    task.con.execute(f"create or replace temp table {made} as {fresh}")
    task.check(made)
    return made


def _changed(task: Task, made: str, there: str) -> str:
    """Select the ids of the fresh rows and of the old ones that differ or have no other.

    One join by the grain, which is unique in both: several times faster than EXCEPT.
    """
    grain, columns = task.model.header.grain, task.model.header.columns
    rest = [name for name in columns if name not in grain]
    a, b = f"(select *, rowid as id from {made})", f"(select *, _row as id from {there})"
    if not grain:  # of rows that nothing tells apart each has its turn
        turn = f"row_number() over (partition by {task.names}) as turn"
        a, b = (f"(select *, {turn} from {side})" for side in (a, b))
        grain, rest = [*columns, "turn"], []
    same = " and ".join(f'a."{n}" is not distinct from b."{n}"' for n in grain)
    differ = "".join(f' or a."{n}" is distinct from b."{n}"' for n in rest)
    return (
        f"select a.id as fresh, b.id as there from {a} a full join {b} b on {same}"
        f" where a.id is null or b.id is null{differ}"
    )


def _numbers(task: Task, changed: str) -> tuple[int, int]:
    row = task.con.execute(f"select count(fresh), count(there) from {changed}").fetchone()
    return row or (0, 0)


def _of(task: Task, table: str, id_: str, changed: str, all_: bool) -> str:
    """Select the rows of one side that differ; a join is spared where all do."""
    side = "fresh" if id_ == "rowid" else "there"
    where = "" if all_ else f" where {id_} in (select {side} from {changed})"
    return f"(select {task.names} from {table}{where})"

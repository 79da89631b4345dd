"""Bringing an incremental model up to date: the cost follows new and late rows, not history.

Three ways, by what the header says. *Partition* (`stretches`): the days that changed rows touch are
computed again. *Key with merge* (`merges`): new rows are aggregated alone and merged with the rows
that are there. *Key*: the changed keys are computed again. All end in the same place as building
everything anew.
"""

from huntaze_pipeline.warehouse import changes, differences, merges, raw, stretches
from huntaze_pipeline.warehouse.differences import Change
from huntaze_pipeline.warehouse.task import Task


def possible(task: Task) -> bool:
    """Say whether the change can be taken in without building anew: only drivers changed.

    What rules declare is no driver, even where a view in between reads it: every row depends on it.
    """
    driving = {b for r in task.part.reads for b in changes.bases(task.project, r)}
    driving -= {f"raw.{name}" for name in raw.DECLARED}
    return not task.news.anew and task.news.changed.keys() <= driving


def take(task: Task) -> tuple[Change, str] | None:
    """Gather how the change alters the table; inside a transaction.

    Returns:
        What to write and to take away, and a condition on the table, as `t`, that holds for every
        row to be taken away: it says where to look. None when building anew is better.
    """
    if task.part.partition:
        return stretches.take(task)
    if task.part.merge:
        return merges.take(task)
    return _keys(task)


def compare(task: Task) -> tuple[Change, str]:
    """Gather how the whole, computed anew, differs from the table."""
    fresh = f"select {task.names} from ({task.sql()})"
    there = differences.keep(task, f"{task.table} t")
    return differences.find(task, fresh, there), merges.EVERYWHERE


def _keys(task: Task) -> tuple[Change, str] | None:
    """Compute the rows of the changed keys again; of all keys when they are most of the table."""
    con, part = task.con, task.part
    parts = [
        f"select {task.own(part.reads[read])} from {task.side(read, base, rows)}"
        for read, base in task.drives().items()
        for rows in task.feed(base).sides
    ]
    con.execute(f"create or replace temp table _keys as {' union '.join(parts)}")
    if differences.most(task, "_keys"):
        if not task.journal.together:
            return None  # in as many parts as the memory asks for
        fresh, there = f"select {task.names} from ({task.sql()})", f"{task.table} t"
        return differences.replace(task, fresh, differences.keep(task, there)), merges.EVERYWHERE
    limited = {
        read: f"(select r.* from {task.relation(read)} r semi join _keys k on "
        + " and ".join(f"r.{how.key.get(n, n)} is not distinct from k.{n}" for n in part.key)
        + ")"
        for read, how in part.reads.items()
    }
    there = differences.keep(task, f"{task.table} t semi join _keys k on {task.same('t', 'k')}")
    fresh = f"select {task.names} from ({task.sql(limited)})"
    return differences.find(task, fresh, there), merges.EVERYWHERE

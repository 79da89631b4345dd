"""Taking new rows into a table of aggregates: they are aggregated alone and put onto what is there.

Belongs here: models whose header says how each column is merged. Sums can also be taken back;
what has left cannot be taken out of a minimum, a maximum or a first.
"""

from huntaze_pipeline.warehouse import differences
from huntaze_pipeline.warehouse.header import Incremental
from huntaze_pipeline.warehouse.journal import Feed
from huntaze_pipeline.warehouse.task import Task

EVERYWHERE = "true"


def take(task: Task) -> tuple[Feed, str] | None:
    """Return what differs and where to look for the rows that go; None: build anew."""
    part = task.part
    feeds = {read: task.feed(base) for read, base in task.drives().items()}
    if not _subtractable(part) and any(feed.left for feed in feeds.values()):
        return None
    _aggregate(task, feeds)
    near = _near(task)
    task.con.execute(f"create or replace temp table _there as {_there(task, near)}")
    gathered = f"(select {task.names} from _there union all select {task.names} from _more)"
    fresh = f"select {_merged(task)} from {gathered} group by {', '.join(part.key)}{_alive(part)}"
    found = differences.find(task, fresh, f"select {task.names} from _there")
    return found, EVERYWHERE if near is None or _timeless(task, found) else near


def _aggregate(task: Task, feeds: dict[str, Feed]) -> None:
    """Gather in `_more` what the new rows come to alone, and less what the left ones came to."""
    drives, part = task.drives(), task.part
    none = {r: f"(select * from {task.relation(r)} where false)" for r in part.reads}
    came = {read: task.side(read, drives[read], feed.came) for read, feed in feeds.items()}
    task.con.execute(
        f"create or replace temp table _more as select {task.names} from ({task.sql(none | came)})"
    )
    left = {
        read: task.side(read, drives[read], feed.left)
        for read, feed in feeds.items()
        if feed.left is not None
    }
    if left:
        values = ", ".join(
            f'-"{n}" as "{n}"' if n in part.merge else f'"{n}"' for n in task.model.header.columns
        )
        task.con.execute(f"insert into _more select {values} from ({task.sql(none | left)})")


def _near(task: Task) -> str | None:
    """Return between which times the rows are that new ones are put onto; None: anywhere."""
    near = task.part.near
    if near is None:
        return None
    row = task.con.execute(
        f"select min({near}), max({near}), count(*) - count({near}) from _more"
    ).fetchone()
    if row is None or row[2] or row[0] is None:
        return None
    return f"t.{near} between timestamptz '{row[0]}' and timestamptz '{row[1]}'"


def _there(task: Task, near: str | None) -> str:
    """Find the rows with the keys of `_more`; their time, where they have one, narrows the search.

    Time-ordered files are skipped by their minimum and maximum, so the search does not grow with
    history. Rows without a time are searched for apart: an OR would read every file.
    """
    part = task.part
    same = " and ".join(f"t.{name} is not distinct from k.{name}" for name in part.key)
    found = f"select {task.names} from {task.table} t semi join _more k on {same}"
    return f"{found} where {near} union all {found} where t.{part.near} is null" if near else found


def _timeless(task: Task, found: Feed) -> bool:
    """Say whether rows without a time are to go."""
    if found.left is None:
        return False
    query = f"select 1 from {found.left} where {task.part.near} is null limit 1"
    return task.con.execute(query).fetchone() is not None


def _merged(task: Task) -> str:
    kinds = {column.name: column.type for column in task.model.columns}
    return ", ".join(
        f'"{n}"' if n in task.part.key else f'cast({_merge(task, n)} as {kinds[n]}) as "{n}"'
        for n in task.model.header.columns
    )


def _merge(task: Task, name: str) -> str:
    how, _, by = task.part.merge[name].partition(" by ")
    if by:
        return f'arg_{how}("{name}", ("{by}", "{name}"))'
    return {"any": f'bool_or("{name}")', "all": f'bool_and("{name}")'}.get(how, f'{how}("{name}")')


def _alive(part: Incremental) -> str:
    """Rows whose sums all came down to nothing have no source row any more."""
    if not _subtractable(part):
        return ""
    return " having " + " or ".join(f'sum("{name}") <> 0' for name in part.merge)


def _subtractable(part: Incremental) -> bool:
    return all(how == "sum" for how in part.merge.values())

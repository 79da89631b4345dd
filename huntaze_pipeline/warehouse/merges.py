"""Taking new rows into a table of aggregates: they are aggregated alone and put onto what is there.

Belongs here: models whose header says how each column is merged. Sums can also be taken back;
what has left cannot be taken out of a minimum, a maximum or a first.
"""

from huntaze_pipeline.warehouse import differences
from huntaze_pipeline.warehouse.differences import Change
from huntaze_pipeline.warehouse.journal import Feed
from huntaze_pipeline.warehouse.task import Task

EVERYWHERE = "true"


def take(task: Task) -> tuple[Change, str] | None:
    """Return what differs and where to look for the rows that go; None: build anew."""
    feeds = {read: task.feed(base) for read, base in task.drives().items()}
    _aggregate(task, feeds)
    less = any(feed.left is not None for feed in feeds.values())
    if less and not _taken_back(task, feeds):
        return None
    if task.part.near is None and differences.most(task, "_more"):
        there = differences.keep(task, f"{task.table} t")
        return differences.replace(task, _put(task, there, "_more", less), there), EVERYWHERE
    near = _near(task)
    there = differences.keep(task, *_there(task, near))
    found = differences.find(task, _fresh(task, there, less), there)
    return found, EVERYWHERE if near is None or _timeless(task, found) else near


def _aggregate(task: Task, feeds: dict[str, Feed]) -> None:
    """Gather in `_more` what the new rows come to alone."""
    came = {read: task.side(read, task.drives()[read], feed.came) for read, feed in feeds.items()}
    task.con.execute(
        f"create or replace temp table _more as"
        f" select {task.names} from ({task.sql(_nothing(task) | came)})"
    )


def _taken_back(task: Task, feeds: dict[str, Feed]) -> bool:
    """Take off `_more` what rows that left came to; False where they count in more than sums."""
    left = {
        read: task.side(read, task.drives()[read], feed.left)
        for read, feed in feeds.items()
        if feed.left is not None
    }
    task.con.execute(
        f"create or replace temp table _less as"
        f" select {task.names} from ({task.sql(_nothing(task) | left)})"
    )
    told = " or ".join(f'"{name}" is not null' for name in _others(task))
    if told and task.con.execute(f"select 1 from _less where {told} limit 1").fetchone():
        return False
    sums = _sums(task)
    values = ", ".join(f'-"{n}"' if n in sums else f'"{n}"' for n in task.model.header.columns)
    task.con.execute(f"insert into _more select {values} from _less")
    return True


def _nothing(task: Task) -> dict[str, str]:
    return {read: f"(select * from {task.relation(read)} where false)" for read in task.part.reads}


def _near(task: Task) -> str | None:
    """Return between which times rows may be that new ones are put onto; None: anywhere."""
    near = task.part.near
    if near is None:
        return None
    row = task.con.execute(
        f"select min({near}), max({near}), count(*) - count({near}) from _more"
    ).fetchone()
    if row is None or row[2] or row[0] is None:
        return None
    return f"t.{near} between timestamptz '{row[0]}' and timestamptz '{row[1]}'"


def _there(task: Task, near: str | None) -> list[str]:
    """Find the rows with the keys of `_more`; their time, where they have one, narrows the search.

    Time-ordered files are skipped by their minimum and maximum, so the search does not grow with
    history. Rows without a time are searched for apart: an OR would read every file.
    """
    found = f"{task.table} t semi join _more k on {task.same('t', 'k')}"
    return (
        [f"{found} where {near}", f"{found} where t.{task.part.near} is null"] if near else [found]
    )


def _timeless(task: Task, found: Change) -> bool:
    """Say whether rows without a time are to go."""
    if found.feed.left is None:
        return False
    query = f"select 1 from {found.feed.left} where {task.part.near} is null limit 1"
    return task.con.execute(query).fetchone() is not None


def _fresh(task: Task, there: str, less: bool) -> str:
    """Put what is new onto what is there; where little is there, the rest is new as it is."""
    more = f"select {task.names} from _more k"
    alone = None
    if not less and 2 * differences.count(task, there) < differences.count(task, "_more"):
        alone = f"{more} anti join {there} t on {task.same('t', 'k')}"
        more = f"{more} semi join {there} t on {task.same('t', 'k')}"
    put = _put(task, there, f"({more})", less)
    return f"{put} union all {alone}" if alone else put


def _put(task: Task, there: str, more: str, less: bool) -> str:
    """Merge two relations; with `less`, rows of which nothing is left are gone."""
    both = f"(select {task.names} from {there} union all select {task.names} from {more})"
    key = ", ".join(task.part.key)
    return f"select {_merged(task)} from {both} group by {key}{_alive(task) if less else ''}"


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


def _alive(task: Task) -> str:
    """A row of which nothing is left has no source row any more."""
    parts = [f'sum("{name}") <> 0' for name in _sums(task)]
    parts += [f'count("{name}") > 0' for name in _others(task)]
    return " having " + " or ".join(parts)


def _sums(task: Task) -> list[str]:
    return [name for name, how in task.part.merge.items() if how == "sum"]


def _others(task: Task) -> list[str]:
    return [name for name, how in task.part.merge.items() if how != "sum"]

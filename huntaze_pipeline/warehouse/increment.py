"""Bringing an incremental model up to date: the cost follows new and late rows, not history.

Three ways, by what the header says. *Partition*: the days that changed rows touch are computed
again. *Key with merge*: new rows are aggregated alone and merged with the rows that are there.
*Key*: the changed keys are computed again. All end in the same place as building everything anew;
only rows that really differ are written, so that what reads the table has little to do either.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from duckdb import DuckDBPyConnection

from huntaze_pipeline.clock import duration
from huntaze_pipeline.warehouse import changes, raw
from huntaze_pipeline.warehouse.changes import Feed, Feeds, News
from huntaze_pipeline.warehouse.header import WINDOWS, Incremental, Read
from huntaze_pipeline.warehouse.models import Model, Project

_DAY = timedelta(days=1)
_MOST = 0.5
"""Above this share of a table's days everything is built anew: one pass beats many."""
_STRETCHES = 50
"""Above this number of separate stretches of days too."""
DELTA = "_delta"
"""Temporary table of the rows to write."""
GONE = "_gone"
"""Temporary table of the grains to take away."""


@dataclass(frozen=True, slots=True)
class Task:
    """One incremental model that has something to take in."""

    con: DuckDBPyConnection
    project: Project
    model: Model
    news: News
    feeds: Feeds
    check: Callable[[str], None] = lambda rows: None
    """Called with each set of rows computed anew, before they are compared with the table's."""

    @property
    def part(self) -> Incremental:
        """Return the header's part; the runner asks only models that have it."""
        found = self.model.header.incremental
        if found is None:
            raise AssertionError(f"{self.model.name} is not incremental")
        return found

    @property
    def names(self) -> str:
        """Return the columns in the order of the header."""
        return ", ".join(f'"{name}"' for name in self.model.header.columns)

    def drives(self) -> dict[str, str]:
        """Return the changed tables that drive it: read name, base table."""
        pairs = [(r, b) for r in self.part.reads for b in changes.bases(self.project, r)]
        return {read: base for read, base in pairs if base in self.news.changed}

    def sql(self, relations: dict[str, str]) -> str:
        """Return the SELECT over other relations, views written out."""
        rest = {r: changes.relation(self.project, r, {}) for r in self.model.reads}
        return self.model.reading(rest | relations)


def possible(task: Task) -> bool:
    """Say whether the change can be taken in without building anew: only drivers changed.

    What rules declare is no driver, even where a view in between reads it: every row depends on it.
    """
    driving = {b for r in task.part.reads for b in changes.bases(task.project, r)}
    driving -= {f"raw.{name}" for name in raw.DECLARED}
    return not task.news.anew and task.news.changed.keys() <= driving


def apply(task: Task) -> bool:
    """Take the change in, inside the caller's transaction; False when building anew is better."""
    drives = task.drives()
    feeds = {b: task.feeds.of(b, task.news.changed[b]) for b in set(drives.values())}
    if task.part.partition:
        return _days(task, drives, feeds)
    if task.part.merge:
        return _merge(task, drives, feeds)
    return _keys(task, drives, feeds)


def _side(task: Task, read: str, base: str, rows: str) -> str:
    return changes.relation(task.project, read, {base: rows})


def _days(task: Task, drives: dict[str, str], feeds: dict[str, Feed]) -> bool:
    """Compute the touched days again, one unbroken stretch of days after the other."""
    touched: set[date] = set()
    for read, base in drives.items():
        how = task.part.reads[read]
        for rows in (feeds[base].came, feeds[base].left):
            query = f"select distinct cast({how.time} as date) from {_side(task, read, base, rows)}"
            starts = [row[0] for row in task.con.execute(query).fetchall() if row[0] is not None]
            after = -(-_reach(task.con, how) // _DAY)
            touched |= {day + _DAY * n for day in starts for n in range(after + 1)}
    column = task.part.partition
    ends = f"cast(min({column}) as date), cast(max({column}) as date)"
    span = task.con.execute(f"select {ends} from lake.{task.model.name}").fetchone()
    stretches = list(_stretches(touched))
    if span is not None and span[0] is not None:
        lived = [day for day in touched if span[0] <= day <= span[1]]
        if len(lived) > max(7.0, _MOST * ((span[1] - span[0]).days + 1)):
            return False
    if len(stretches) > _STRETCHES:
        return False
    _start(task)
    for low, high in stretches:
        _stretch(task, low, high)
    return True


def _stretches(days: set[date]) -> Iterator[tuple[date, date]]:
    """Join days to unbroken stretches: first day, and the day after the last."""
    start: date | None = None
    end: date | None = None
    for day in sorted(days):
        if start is None or end is None or day > end:
            if start is not None and end is not None:
                yield start, end
            start = day
        end = day + _DAY
    if start is not None and end is not None:
        yield start, end


def _stretch(task: Task, low: date, high: date) -> None:
    limited = {}
    for read, how in task.part.reads.items():
        first = f"timestamptz '{low}' - interval '{_reach(task.con, how).total_seconds()} seconds'"
        limited[read] = (
            f"(select * from {changes.relation(task.project, read, {})}"
            f" where {how.time} >= {first} and {how.time} < timestamptz '{high}')"
        )
    column = task.part.partition
    here = f"{column} >= timestamptz '{low}' and {column} < timestamptz '{high}'"
    task.con.execute(
        f"create or replace temp table _fresh as select {task.names} from"
        f" ({task.sql(limited)}) where {here}"
    )
    _differences(task, f"(select {task.names} from lake.{task.model.name} where {here})")


def _keys(task: Task, drives: dict[str, str], feeds: dict[str, Feed]) -> bool:
    """Compute the rows of the changed keys again."""
    con, part = task.con, task.part
    parts = [
        f"select {_own(part, part.reads[read])} from {_side(task, read, base, rows)}"
        for read, base in drives.items()
        for rows in (feeds[base].came, feeds[base].left)
    ]
    con.execute(f"create or replace temp table _keys as {' union '.join(parts)}")
    limited = {
        read: f"(select r.* from {changes.relation(task.project, read, {})} r semi join _keys k on "
        + " and ".join(f"r.{how.key.get(n, n)} is not distinct from k.{n}" for n in part.key)
        + ")"
        for read, how in part.reads.items()
    }
    con.execute(
        f"create or replace temp table _fresh as select {task.names} from ({task.sql(limited)})"
    )
    _start(task)
    table = f"lake.{task.model.name} t"
    old = f"(select {task.names} from {table} semi join _keys k on {_same(part.key)})"
    _differences(task, old)
    return True


def _merge(task: Task, drives: dict[str, str], feeds: dict[str, Feed]) -> bool:
    """Aggregate the new rows alone and put them onto the rows that are there."""
    con, part = task.con, task.part
    if not _subtractable(part) and any(_holds(con, feeds[b].left) for b in drives.values()):
        return False  # what has left cannot be taken out of a minimum
    came = {read: _side(task, read, base, feeds[base].came) for read, base in drives.items()}
    none = {
        read: f"(select * from {changes.relation(task.project, read, {})} where false)"
        for read in part.reads
        if read not in drives
    }
    con.execute(
        f"create or replace temp table _more as select {task.names} from ({task.sql(came | none)})"
    )
    if _subtractable(part):
        left = {read: _side(task, read, base, feeds[base].left) for read, base in drives.items()}
        values = ", ".join(
            f'-"{n}" as "{n}"' if n in part.merge else f'"{n}"' for n in _columns(task)
        )
        con.execute(f"insert into _more select {values} from ({task.sql(left | none)})")
    con.execute(f"create or replace temp table _old as {_there(task)}")
    gathered = f"(select {task.names} from _old union all select {task.names} from _more)"
    con.execute(
        f"create or replace temp table _fresh as select {_merged(task)} from {gathered}"
        f" group by {', '.join(part.key)}{_alive(part)}"
    )
    _start(task)
    _differences(task, "_old")
    return True


def _there(task: Task) -> str:
    """Find the rows with the keys of `_more`; their time, where they have one, narrows the search.

    Time-ordered files are skipped by their minimum and maximum, so the search does not grow with
    history. Rows without a time are searched for apart: an OR would read every file.
    """
    part, table = task.part, f"lake.{task.model.name}"
    found = f"select {task.names} from {table} t semi join _more k on {_same(part.key)}"
    if part.near is None:
        return found
    row = task.con.execute(
        f"select min({part.near}), max({part.near}), count(*) - count({part.near}) from _more"
    ).fetchone()
    if row is None or row[2] or row[0] is None:
        return found
    near = f"{part.near} between timestamptz '{row[0]}' and timestamptz '{row[1]}'"
    return f"{found} where {near} union all {found} where {part.near} is null"


def _merged(task: Task) -> str:
    kinds = {column.name: column.type for column in task.model.columns}
    return ", ".join(
        f'"{n}"' if n in task.part.key else f'cast({_aggregate(task, n)} as {kinds[n]}) as "{n}"'
        for n in _columns(task)
    )


def _aggregate(task: Task, name: str) -> str:
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


def _holds(con: DuckDBPyConnection, table: str) -> bool:
    return con.execute(f"select 1 from {table} limit 1").fetchone() is not None


def _start(task: Task) -> None:
    """Make the two tables that the differences are gathered in."""
    table = f"lake.{task.model.name}"
    grain = ", ".join(f'"{name}"' for name in task.model.header.grain)
    task.con.execute(
        f"create or replace temp table {DELTA} as select {task.names} from {table} where false"
    )
    task.con.execute(
        f"create or replace temp table {GONE} as select {grain} from {table} where false"
    )


def _differences(task: Task, old: str) -> None:
    """Gather what `_fresh` has and the table does not, and which grains have to go for it."""
    task.check("_fresh")
    grain = ", ".join(f'"{name}"' for name in task.model.header.grain)
    task.con.execute(
        f"insert into {DELTA} select {task.names} from _fresh"
        f" except all select {task.names} from {old}"
    )
    task.con.execute(
        f"insert into {GONE} select {grain} from (select {task.names} from {old}"
        f" except all select {task.names} from _fresh)"
    )


def compare(task: Task) -> None:
    """Gather how `_fresh`, the whole table anew, differs from the table."""
    _start(task)
    _differences(task, f"(select {task.names} from lake.{task.model.name})")


def _reach(con: DuckDBPyConnection, how: Read) -> timedelta:
    if how.reach != WINDOWS:
        return duration(how.reach)
    row = con.execute("select max(seconds) from lake.raw.windows").fetchone()
    return timedelta(seconds=int(row[0]) if row and row[0] else 0)


def _own(part: Incremental, how: Read) -> str:
    return ", ".join(f"{how.key.get(name, name)} as {name}" for name in part.key)


def _same(key: list[str]) -> str:
    return " and ".join(f"t.{name} is not distinct from k.{name}" for name in key)


def _columns(task: Task) -> list[str]:
    return list(task.model.header.columns)

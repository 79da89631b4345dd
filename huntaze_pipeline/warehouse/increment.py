"""Bringing an incremental model up to date: the cost follows new and late rows, not history.

Three ways, by what the header says. *Partition*: the days that changed rows touch are computed
again. *Key with merge*: new rows are aggregated alone and merged with the rows that are there.
*Key*: the changed keys are computed again. All end in the same place as building everything anew;
only rows that really differ are written, so that what reads the table has little to do either.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from duckdb import DuckDBPyConnection

from huntaze_pipeline.clock import duration
from huntaze_pipeline.warehouse import changes, raw
from huntaze_pipeline.warehouse.changes import News
from huntaze_pipeline.warehouse.header import NAMED, Incremental, Read
from huntaze_pipeline.warehouse.journal import Feed, Journal
from huntaze_pipeline.warehouse.models import Model, Project

_DAY = timedelta(days=1)
_MOST = 0.5
"""Above this share of a table's days or keys everything is built anew: one pass beats many."""
_FEW_KEYS = 10_000
"""So many keys are always computed alone."""
_FEW = 7
"""So many days are always computed alone."""
_STRETCHES = 50
"""Above this number of separate stretches of days too."""
_NAMED = {
    "windows": "select max(seconds) from lake.raw.windows",
    "tests": "select max(2 * window_s) from lake.raw.experiments",
}
"""Where the reaches of `header.NAMED` are looked up, in seconds."""
DELTA = "_delta"
"""Temporary table of the rows to write."""
GONE = "_gone"
"""Temporary table of the rows to take away."""
ALL = "true"
"""Everywhere: nothing narrows the search for rows of a table."""
NONE = "false"


@dataclass(frozen=True, slots=True)
class Task:
    """One incremental model that has something to take in."""

    con: DuckDBPyConnection
    project: Project
    model: Model
    news: News
    journal: Journal
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


def apply(task: Task) -> str | None:
    """Gather how the change alters the table, in `DELTA` and `GONE`; inside a transaction.

    Returns:
        A condition on the table, as `t`, that holds for every row to be taken away, to find them
        by; None when building anew is better.
    """
    drives = task.drives()
    feeds = {b: task.journal.feed(b, task.news.changed[b]) for b in set(drives.values())}
    if task.part.partition:
        return _days(task, drives, feeds)
    if task.part.merge:
        return _merge(task, drives, feeds)
    return _keys(task, drives, feeds)


def _side(task: Task, read: str, base: str, rows: str) -> str:
    return changes.relation(task.project, read, {base: rows})


def _days(task: Task, drives: dict[str, str], feeds: dict[str, Feed]) -> str | None:
    """Compute the touched days again, one unbroken stretch of days after the other."""
    reaches = {read: _reaches(task.con, how) for read, how in task.part.reads.items()}
    touched: set[date] = set()
    for read, base in drives.items():
        day = f"cast({task.part.reads[read].time} as date)"
        days = " union ".join(
            f"select {day} from {_side(task, read, base, rows)}"
            for rows in (feeds[base].came, feeds[base].left)
        )
        starts = [row[0] for row in task.con.execute(days).fetchall() if row[0] is not None]
        before, after = (-(-reach // _DAY) for reach in reaches[read])
        touched |= {day + _DAY * n for day in starts for n in range(-before, after + 1)}
    stretches = list(_stretches(touched))
    if len(stretches) > _STRETCHES or _most(task, touched):
        return None
    column = task.part.partition
    spans = [_span(str(column), low, high) for low, high in stretches]
    if not spans:
        _differences(task, _stored(task, NONE), _stored(task, NONE))
        return NONE
    fresh = " union all ".join(
        f"select {task.names} from ({task.sql(_limited(task, reaches, low, high))}) t where {here}"
        for (low, high), here in zip(stretches, spans, strict=True)
    )
    old = " union all ".join(_stored(task, here) for here in spans)
    _differences(task, fresh, old)
    return _span(str(column), stretches[0][0], stretches[-1][1])


def _most(task: Task, touched: set[date]) -> bool:
    """Say whether so much of the table is touched that one pass over everything is cheaper."""
    if len(touched) <= _FEW:
        return False
    column = task.part.partition
    ends = f"cast(min({column}) as date), cast(max({column}) as date)"
    span = task.con.execute(f"select {ends} from lake.{task.model.name}").fetchone()
    if span is None or span[0] is None:
        return False
    lived = sum(span[0] <= day <= span[1] for day in touched)
    return lived > max(_FEW, _MOST * ((span[1] - span[0]).days + 1))


def _span(column: str, low: date, high: date) -> str:
    return f"(t.{column} >= timestamptz '{low}' and t.{column} < timestamptz '{high}')"


def _stored(task: Task, here: str) -> str:
    return f"select {task.names} from lake.{task.model.name} t where {here}"


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


def _limited(
    task: Task, reaches: Mapping[str, tuple[timedelta, timedelta]], low: date, high: date
) -> dict[str, str]:
    """Return what each driver may contribute to a stretch of days."""
    found = {}
    for read, how in task.part.reads.items():
        before, after = (f"interval '{r.total_seconds()} seconds'" for r in reaches[read])
        found[read] = (
            f"(select * from {changes.relation(task.project, read, {})}"
            f" where {how.time} >= timestamptz '{low}' - {after}"
            f" and {how.time} < timestamptz '{high}' + {before})"
        )
    return found


def _keys(task: Task, drives: dict[str, str], feeds: dict[str, Feed]) -> str | None:
    """Compute the rows of the changed keys again; not when they are most of the table."""
    con, part = task.con, task.part
    parts = [
        f"select {_own(part, part.reads[read])} from {_side(task, read, base, rows)}"
        for read, base in drives.items()
        for rows in (feeds[base].came, feeds[base].left)
    ]
    con.execute(f"create or replace temp table _keys as {' union '.join(parts)}")
    keys, rows = con.execute(
        f"select (select count(*) from _keys), (select count(*) from lake.{task.model.name})"
    ).fetchone() or (0, 0)
    if keys > max(_FEW_KEYS, _MOST * rows):
        return None
    limited = {
        read: f"(select r.* from {changes.relation(task.project, read, {})} r semi join _keys k on "
        + " and ".join(f"r.{how.key.get(n, n)} is not distinct from k.{n}" for n in part.key)
        + ")"
        for read, how in part.reads.items()
    }
    table = f"lake.{task.model.name} t"
    old = f"select {task.names} from {table} semi join _keys k on {_same(part.key)}"
    _differences(task, f"select {task.names} from ({task.sql(limited)})", old)
    return ALL


def _merge(task: Task, drives: dict[str, str], feeds: dict[str, Feed]) -> str | None:
    """Aggregate the new rows alone and put them onto the rows that are there."""
    con, part = task.con, task.part
    if not _subtractable(part) and any(_holds(con, feeds[b].left) for b in drives.values()):
        return None  # what has left cannot be taken out of a minimum
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
    near = _near(task)
    con.execute(f"create or replace temp table _there as {_there(task, near)}")
    gathered = f"(select {task.names} from _there union all select {task.names} from _more)"
    fresh = f"select {_merged(task)} from {gathered} group by {', '.join(part.key)}{_alive(part)}"
    _differences(task, fresh, f"select {task.names} from _there")
    timeless = f"select 1 from {GONE} where {part.near} is null limit 1"
    return near if near and con.execute(timeless).fetchone() is None else ALL


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
    found = f"select {task.names} from lake.{task.model.name} t semi join _more k"
    found += f" on {_same(part.key)}"
    return f"{found} where {near} union all {found} where t.{part.near} is null" if near else found


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


def _differences(task: Task, fresh: str, old: str) -> None:
    """Gather what is fresh and not in the table, and which rows of it have to go for that."""
    con, grain = task.con, task.model.header.grain
    con.execute(f"create or replace temp table _fresh as {fresh}")
    task.check("_fresh")
    con.execute(f"create or replace temp table _old as {old}")
    con.execute(f"drop table if exists {DELTA}; drop table if exists {GONE}")
    if not _holds(con, "_old"):  # as on every new day: nothing to compare with
        con.execute(f"alter table _fresh rename to {DELTA}; alter table _old rename to {GONE}")
    elif not grain:
        con.execute(f"create temp table {DELTA} as from _fresh except all from _old")
        con.execute(f"create temp table {GONE} as from _old except all from _fresh")
    else:
        con.execute(f"create or replace temp table _changed as {_changed(task)}")
        _sides(task)


def _sides(task: Task) -> None:
    """Take the pairs of `_changed` apart."""
    for table, side in ((DELTA, "a"), (GONE, "b")):
        names = ", ".join(f'{side}."{name}"' for name in task.model.header.columns)
        task.con.execute(
            f"create temp table {table} as select {names} from _changed where {side}.there"
        )


def _changed(task: Task) -> str:
    """Select the rows of `_fresh` and `_old`, side by side, that differ or have no other.

    One join by the grain, which is unique in both: several times faster than EXCEPT.
    """
    grain = task.model.header.grain
    rest = [name for name in task.model.header.columns if name not in grain]
    same = " and ".join(f'a."{n}" is not distinct from b."{n}"' for n in grain)
    differ = "".join(f' or a."{n}" is distinct from b."{n}"' for n in rest)
    return (
        "select a, b from (select *, true as there from _fresh) a"
        f" full join (select *, true as there from _old) b on {same}"
        f" where a.there is null or b.there is null{differ}"
    )


def compare(task: Task) -> str:
    """Gather how the whole, computed anew, differs from the table."""
    fresh = f"select {task.names} from ({task.model.sql})"
    _differences(task, fresh, _stored(task, ALL))
    return ALL


def _reaches(con: DuckDBPyConnection, how: Read) -> tuple[timedelta, timedelta]:
    """Return how long before its time, and after it, a row matters."""
    return _reach(con, how.ahead), _reach(con, how.reach)


def _reach(con: DuckDBPyConnection, text: str) -> timedelta:
    if text not in NAMED:
        return duration(text)
    row = con.execute(_NAMED[text]).fetchone()
    return timedelta(seconds=int(row[0]) if row and row[0] else 0)


def _own(part: Incremental, how: Read) -> str:
    return ", ".join(f"{how.key.get(name, name)} as {name}" for name in part.key)


def _same(key: list[str]) -> str:
    return " and ".join(f"t.{name} is not distinct from k.{name}" for name in key)


def _columns(task: Task) -> list[str]:
    return list(task.model.header.columns)

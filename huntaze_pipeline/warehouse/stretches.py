"""Stretches of days: the part of a model with a time that has to be computed again.

Belongs here: which days rows touch, and a model's SELECT over the rows that matter to some days.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta

from huntaze_pipeline.warehouse import differences
from huntaze_pipeline.warehouse.differences import Change
from huntaze_pipeline.warehouse.task import Task

_DAY = timedelta(days=1)
_MOST = 0.5
"""Above this share of a table's days everything is built anew: one pass beats many."""
_FEW = 7
"""So many days are always computed alone."""
_MANY = 50
"""Above this number of separate stretches everything is built anew too."""
Stretch = tuple[date | None, date | None]
"""The first day and the day after the last; None: from the beginning, to the end."""


def take(task: Task) -> tuple[Change, str] | None:
    """Return what differs in the touched days and where they are; None: build anew."""
    reaches = task.reaches()
    touched = _touched(task, reaches)
    found = list(_joined(touched))
    if len(found) > _MANY or _most(task, touched):
        return None
    spans = [span(task, stretch) for stretch in found] or ["false"]
    fresh = [selected(task, reaches, stretch) for stretch in found]
    whole = span(task, (found[0][0], found[-1][1])) if found else "false"
    made = " union all ".join(fresh) or f"select {task.names} from {task.table} where false"
    there = differences.keep(task, *(f"{task.table} t where {one}" for one in spans))
    return differences.find(task, made, there), whole


def _touched(task: Task, reaches: Mapping[str, tuple[timedelta, timedelta]]) -> set[date]:
    found: set[date] = set()
    for read, base in task.drives().items():
        time = str(task.part.reads[read].time)
        sides = [task.side(read, base, rows) for rows in task.feed(base).sides]
        starts = {day for side in sides for day in task.journal.days(side, time)}
        before, after = (-(-reach // _DAY) for reach in reaches[read])
        found |= {start + _DAY * n for start in starts for n in range(-before, after + 1)}
    return found


def _most(task: Task, touched: Iterable[date]) -> bool:
    """Say whether so much of the table is touched that one pass over everything is cheaper."""
    days = set(touched)
    if len(days) <= _FEW:
        return False
    column = task.part.partition
    ends = f"cast(min({column}) as date), cast(max({column}) as date)"
    row = task.con.execute(f"select {ends} from {task.table}").fetchone()
    if row is None or row[0] is None:
        return False
    lived = sum(row[0] <= day <= row[1] for day in days)
    return lived > max(_FEW, _MOST * ((row[1] - row[0]).days + 1))


def _joined(days: set[date]) -> Iterator[tuple[date, date]]:
    """Join days to unbroken stretches."""
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


def span(task: Task, stretch: Stretch) -> str:
    """Return the condition on a row of the table, as `t`, that it is in a stretch of days."""
    low, high = stretch
    column = f"t.{task.part.partition}"
    parts = [f"{column} >= timestamptz '{low}'"] if low else []
    parts += [f"{column} < timestamptz '{high}'"] if high else []
    text = " and ".join(parts) or "true"
    return f"({text})" if low else f"({text} or {column} is null)"


def selected(
    task: Task, reaches: Mapping[str, tuple[timedelta, timedelta]], stretch: Stretch
) -> str:
    """Select the rows of some days from what each read may contribute to them."""
    limited = {read: _limited(task, read, reaches[read], stretch) for read in reaches}
    return f"select {task.names} from ({task.sql(limited)}) t where {span(task, stretch)}"


def _limited(task: Task, read: str, reach: tuple[timedelta, timedelta], stretch: Stretch) -> str:
    low, high = stretch
    before, after = (f"interval '{r.total_seconds()} seconds'" for r in reach)
    time = task.part.reads[read].time
    parts = [f"{time} >= timestamptz '{low}' - {after}"] if low else []
    parts += [f"{time} < timestamptz '{high}' + {before}"] if high else []
    text = " and ".join(parts) or "true"
    return (
        f"(select * from {task.relation(read)} where {text if low else f'({text}) is not false'})"
    )

"""Building a model from nothing, in as many parts as the engine's memory asks for.

Strings that an aggregate has to keep cannot be moved to the disk by the engine, so what a hundred
million events come to does not fit at once. Rows that have nothing to do with each other are
computed one part after the other: those of some days, or those of some keys.
"""

from collections.abc import Iterator
from datetime import date, timedelta

from huntaze_pipeline.warehouse import changes, stretches
from huntaze_pipeline.warehouse.header import Incremental
from huntaze_pipeline.warehouse.task import Task

_ROW = 256
"""Bytes that a driver's row takes while the widest models are built, as measured."""


def write(task: Task) -> None:
    """Make the table anew, its rows in the order of their time.

    So a later build reads a stretch of it alone.
    """
    for number, part in enumerate(_parts(task)):
        table = f"lake.{task.model.name}"
        how = f"insert into {table}" if number else f"create or replace table {table} as"
        task.con.execute(f"{how} {part}{_order(task)}")


def _order(task: Task) -> str:
    part = task.model.header.incremental
    time = (part.partition or part.near) if part else None
    return f" order by {time}" if time else ""


def _parts(task: Task) -> Iterator[str]:
    part, number = task.model.header.incremental, 1
    if part is not None:
        number = -(-_rows(task) * _ROW // _memory(task))
    if part is not None and part.partition and number > 1:
        reaches = task.reaches()
        for stretch in _days(task, number):
            yield stretches.selected(task, reaches, stretch)
    elif part is not None and (names := _split(part)) and number > 1:
        for which in range(number):
            yield f"select {task.names} from ({task.sql(_share(task, names, which, number))})"
    else:  # as it is written, so that a fault of it stands at its own line
        yield f"select {task.names} from ({task.model.sql})"


def _split(part: Incremental) -> list[str]:
    return part.split or ([] if part.merge else part.key)


def _rows(task: Task) -> int:
    """Return the number of rows of the largest table that drives it."""
    bases = {base for read in task.part.reads for base in changes.bases(task.project, read)}
    counts = ", ".join(f"(select count(*) from lake.{base})" for base in bases)
    row = task.con.execute(f"select {counts}").fetchone()
    return max(map(int, row or (0,)))


def _memory(task: Task) -> int:
    """Return how many bytes the engine may use."""
    row = task.con.execute("select current_setting('memory_limit')").fetchone()
    number, unit = str(row[0] if row else "1 GiB").split()
    return int(float(number) * 1024 ** ("bytes", "KiB", "MiB", "GiB", "TiB").index(unit))


def _days(task: Task, number: int) -> list[stretches.Stretch]:
    """Cut the days that the reads have; nothing lies before the first part or after the last."""
    ends: list[date] = []
    for read, how in task.part.reads.items():
        row = task.con.execute(
            f"select min({how.time})::date, max({how.time})::date from {task.relation(read)}"
        ).fetchone()
        ends += [day for day in row or () if day is not None]
    first, last = min(ends, default=date.min), max(ends, default=date.min)
    days = (last - first).days + 1
    number = min(number, days)
    cuts = [first + timedelta(days=days * n // number) for n in range(1, number)]
    return list(zip([None, *cuts], [*cuts, None], strict=True))


def _share(task: Task, names: list[str], which: int, number: int) -> dict[str, str]:
    """Take those rows of each read whose key falls into one of several parts."""
    found = {}
    for read, how in task.part.reads.items():
        columns = ", ".join(how.key.get(name, name) for name in names)
        found[read] = f"(from {task.relation(read)} where hash({columns}) % {number} = {which})"
    return found

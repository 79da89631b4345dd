"""Building models: what is new is taken in, checked against the contract, then published.

When all tables are there, everything happens in one transaction of the lake: whoever reads sees
either all of it or nothing, and little is asked of the catalog. When something has to be made
first, or fails, each model has its own transaction, how far it has come included: one that fails
leaves its last good table in place, and stops those that read it; the others are built. Every
failure is reported at the end with the model and what was wrong.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import duckdb
from duckdb import DuckDBPyConnection

from huntaze_pipeline.errors import ModelError, Problem
from huntaze_pipeline.warehouse import changes, contract, increment, lake
from huntaze_pipeline.warehouse.changes import State, Survey
from huntaze_pipeline.warehouse.journal import Apart, Feed, Journal
from huntaze_pipeline.warehouse.models import Audit, Model, Project

_SAMPLE = 3
How = Literal["full", "incremental", "unchanged"]


@dataclass(frozen=True, slots=True)
class Built:
    """One model that is up to date and published."""

    name: str
    rows: int | None
    """How many there are; None where nobody counted: views, what did not change, parts."""
    seconds: float
    how: How = "full"
    came: int = 0
    """Rows written into a table that was there."""
    left: int = 0
    """Rows taken out of it; one that changed is both."""


@dataclass(frozen=True, slots=True)
class Audited:
    """What an audit found."""

    name: str
    severity: str
    bad: int
    sample: tuple[dict[str, Any], ...]


class _Broken(Exception):
    """A contract that does not hold; rolls the transaction back."""

    def __init__(self, faults: list[str], bad: dict[str, list[dict[str, Any]]]) -> None:
        super().__init__("; ".join(faults))
        self.bad = bad


def build(
    con: DuckDBPyConnection,
    project: Project,
    select: Iterable[str] | None = None,
    progress: Callable[[str], None] = lambda name: None,
    *,
    full: bool = False,
) -> list[Built]:
    """Bring models up to date in the order of their dependencies; `select=None` takes all.

    Args:
        con: the lake.
        project: the models.
        select: names, see `Project.select`.
        progress: called with each model's name before it is built.
        full: build everything anew, whatever is there.

    Raises:
        ModelError: some could not be built, with the reason of each; the rest are published.
    """
    models = project.select(select)
    if not full and _complete(con, project, models):
        try:
            return _together(con, project, models, progress)
        except (duckdb.Error, _Broken, Apart):
            # One by one the others are built all the same, and the fault is told.
            return _apart(con, project, models, progress, full)
    return _apart(con, project, models, progress, full)


def _complete(con: DuckDBPyConnection, project: Project, models: Sequence[Model]) -> bool:
    """Say whether every table and view is there, made by the SQL of today."""
    seen = changes.survey(con)
    return all(
        model.name in seen.states
        and seen.states[model.name].version == changes.version(project, model)
        and seen.kind(model.name) == _kind(model)
        for model in models
    )


def _together(
    con: DuckDBPyConnection,
    project: Project,
    models: Sequence[Model],
    progress: Callable[[str], None],
) -> list[Built]:
    journal = Journal(con, together=True)

    def work() -> list[Built]:
        works = [_Work(con, project, model, False, journal) for model in models]
        built = []
        for model, task in zip(models, works, strict=True):
            progress(model.name)
            built.append(task.run())
        reached = {task.model.name: task.state for task in works if task.state is not None}
        changes.note(con, reached)
        journal.sign(list(reached))
        return built

    try:
        return lake.write(con, work, journal.forget)
    finally:
        journal.forget()


def _apart(
    con: DuckDBPyConnection,
    project: Project,
    models: Sequence[Model],
    progress: Callable[[str], None],
    full: bool,
) -> list[Built]:
    built: list[Built] = []
    failed: dict[str, Problem] = {}
    journal = Journal(con)
    for model in models:
        progress(model.name)
        waiting = [ref for ref in model.refs if ref in failed]
        if waiting:
            failed[model.name] = Problem(
                str(model.path), f"{model.name} not built: {waiting[0]} failed"
            )
            continue
        try:
            built.append(one(con, project, model, full=full, journal=journal))
        except ModelError as error:
            failed[model.name] = error.problems[0]
    journal.forget()
    if failed:
        raise ModelError(list(failed.values()))
    return built


def one(
    con: DuckDBPyConnection,
    project: Project,
    model: Model,
    *,
    full: bool = False,
    journal: Journal | None = None,
) -> Built:
    """Bring one model up to date, check and publish it.

    Raises:
        ModelError: the SQL fails or the result breaks the contract; the old table stays.
    """
    known = journal or Journal(con)

    def work() -> Built:
        task = _Work(con, project, model, full, known)
        built = task.run()
        changes.note(con, {model.name: task.state} if task.state else {})
        return built

    try:
        built = lake.write(con, work, known.forget)
    except duckdb.Error as error:
        known.forget()
        raise _located(model, error) from None
    except _Broken as error:
        known.forget()
        for name, bad in error.bad.items():
            contract.keep(con, f"{model.name}.{name}", "error", bad)
        raise ModelError([Problem(str(model.path), str(error))]) from None
    return built if built.how == "unchanged" else replace(built, rows=_count(con, model))


def _count(con: DuckDBPyConnection, model: Model) -> int | None:
    if model.header.materialization == "view":
        return None
    row = con.execute(f"select count(*) from lake.{model.name}").fetchone()
    return int(row[0]) if row else None


class _Work:
    """One model inside a transaction."""

    def __init__(
        self, con: DuckDBPyConnection, project: Project, model: Model, full: bool, journal: Journal
    ) -> None:
        self.con, self.project, self.model = con, project, model
        self.view = model.header.materialization == "view"
        self.version = changes.version(project, model)
        self.full = full
        self.journal = journal
        self.moved = (0, 0)
        self.state: State | None = None

    def run(self) -> Built:
        """Do the least that brings the table up to date; `state` then says how far it has come."""
        started = time.monotonic()
        how = self._how()
        return Built(self.model.name, None, time.monotonic() - started, how, *self.moved)

    def _how(self) -> How:
        seen, name = self.journal.look(), self.model.name
        before = None if self.full else seen.states.get(name)
        known = before is not None and before.version == self.version
        stored = seen.kind(name)
        self.news = self.journal.news(
            name, _bases(self.project, self.model), before.snapshot if before else 0
        )
        if known and stored == _kind(self.model) and (self.view or self.news.nothing):
            return "unchanged"
        how: How = "incremental"
        if not (known and stored and self._taken_in()):
            self._anew(stored)
            how = "full"
        self.state = State(self.version, self.news.upto)
        return how

    def _task(self) -> increment.Task:
        return increment.Task(
            self.con, self.project, self.model, self.news, self.journal, self._check
        )

    def _taken_in(self) -> bool:
        """Take only the change in; False when that cannot be done."""
        if self.model.header.materialization != "incremental":
            return False
        task = self._task()
        where = increment.apply(task) if increment.possible(task) else None
        if where is None:
            return False
        self._publish(where)
        return True

    def _anew(self, stored: str | None) -> None:
        """Build the whole; small tables keep their identity and change only where they differ."""
        name, together = self.model.name, self.journal.together
        small = self.model.header.materialization == "table"
        if stored == "table" and (small or together) and self._same_shape():
            self._publish(increment.compare(self._task()))
            return
        if together:
            raise Apart  # a table has to be made
        self._promise(contract.columns(self.con, self.model))
        if stored not in (None, _kind(self.model)):
            self.con.execute(f"drop {stored} lake.{name}")
        if self.view:
            self.con.execute(f"create or replace view lake.{name} as {self.model.sql}")
        else:
            self.con.execute(f"create or replace table lake.{name} as {self._ordered()}")
        self._check(f"lake.{name}")

    def _ordered(self) -> str:
        """Put the rows in the order of their time, so that a later build reads a stretch of it."""
        part = self.model.header.incremental
        time_ = (part.partition or part.near) if part else None
        names = ", ".join(f'"{column}"' for column in self.model.header.columns)
        order = f" order by {time_}" if time_ else ""
        return f"select {names} from ({self.model.sql}){order}"

    def _same_shape(self) -> bool:
        """Say whether table and SQL both have the columns that the header promises."""
        promised = contract.promised(self.model)
        relations = [f"lake.{self.model.name}"]
        if not self.journal.together:  # else the SQL is the one that made the table
            relations.append(f"({self.model.sql})")
        return all(dict(contract.shape(self.con, r)) == promised for r in relations)

    def _check(self, relation: str) -> None:
        faults = contract.grain(self.con, self.model, relation)
        faults += contract.numbers(self.con, self.model, relation)
        bad = contract.audits(self.con, self.model, relation)
        faults += [f"audit {name}: bad row {rows[0]}" for name, rows in bad.items()]
        self._promise(faults, bad)

    def _promise(
        self, faults: list[str], bad: dict[str, list[dict[str, Any]]] | None = None
    ) -> None:
        if faults:
            raise _Broken(faults, bad or {})

    def _publish(self, where: str) -> None:
        """Write the rows that differ; nothing at all when none do."""
        table, gone = f"lake.{self.model.name}", increment.GONE
        come, left = self.con.execute(
            f"select (select count(*) from {increment.DELTA}), (select count(*) from {gone})"
        ).fetchone() or (0, 0)
        if left:
            same = " and ".join(
                f"t.{n} is not distinct from g.{n}" for n in self.model.header.grain
            )
            self.con.execute(f"delete from {table} t using {gone} g where {same} and {where}")
        if come:
            names = ", ".join(f'"{column}"' for column in self.model.header.columns)
            rows = f"select {names} from {increment.DELTA}"
            self.con.execute(f"insert into {table} ({names}) {rows}")
        if come or left:
            self.journal.wrote(self.model.name, Feed(increment.DELTA, gone))
        self.moved = (int(come), int(left))


def current(seen: Survey, project: Project, model: Model) -> bool:
    """Say whether a model's table is up to date, by the catalog alone."""
    before = seen.states.get(model.name)
    if before is None or before.version != changes.version(project, model):
        return False
    if seen.kind(model.name) != _kind(model):
        return False
    view = model.header.materialization == "view"
    return view or seen.news(model.name, _bases(project, model), before.snapshot).nothing


def _kind(model: Model) -> str:
    return "view" if model.header.materialization == "view" else "table"


def _bases(project: Project, model: Model) -> list[str]:
    found = [base for read in model.reads for base in changes.bases(project, read)]
    return list(dict.fromkeys(found))


def audit(con: DuckDBPyConnection, audits: Sequence[Audit]) -> list[Audited]:
    """Run audits; each returns how many bad rows there are and some of them, and keeps the rest.

    Raises:
        ModelError: an audit's SQL does not run.
    """
    return [_audited(con, item) for item in audits]


def _audited(con: DuckDBPyConnection, item: Audit) -> Audited:
    try:
        bad = contract.rows(con, item.sql)
    except duckdb.Error as error:
        raise ModelError([Problem(f"{item.path}", _first(error))]) from None
    contract.keep(con, item.name, item.header.severity, bad)
    return Audited(item.name, item.header.severity, len(bad), tuple(bad[:_SAMPLE]))


def _located(model: Model, error: duckdb.Error) -> ModelError:
    """Name the file and the line of it where the SQL went wrong."""
    text = model.path.read_text(encoding="utf-8")
    above = text[: text.find("--- */")].count("\n") + 1
    body = text.split("--- */", 1)[-1]
    above += len(body) - len(body.lstrip()) and body[: len(body) - len(body.lstrip())].count("\n")
    line = next(
        (int(part.split(":")[0]) for part in str(error).split("LINE ")[1:] if ":" in part), 1
    )
    return ModelError([Problem(f"{model.path}:{above + line - 1}", _first(error))])


def _first(error: Exception) -> str:
    return str(error).strip().splitlines()[0]

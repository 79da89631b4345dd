"""Building models: what is new is taken in, checked against the contract, then published.

Everything about one model happens in one transaction of the lake, how far it has come included. A
model that fails leaves its last good table in place, and stops those that read it; the others are
built. Every failure is reported at the end with the model and what was wrong.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import duckdb
from duckdb import DuckDBPyConnection

from huntaze_pipeline.errors import ModelError, Problem
from huntaze_pipeline.warehouse import changes, contract, increment, lake
from huntaze_pipeline.warehouse.changes import State, Survey
from huntaze_pipeline.warehouse.models import Audit, Model, Project

_SAMPLE = 3
How = Literal["full", "incremental", "unchanged"]


@dataclass(frozen=True, slots=True)
class Built:
    """One model that is up to date and published."""

    name: str
    rows: int | None
    """How many there are; None where nobody counted: views, and what did not change."""
    seconds: float
    how: How = "full"


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
    built: list[Built] = []
    failed: dict[str, Problem] = {}
    seen = changes.survey(con)
    feeds = changes.Feeds(con)
    moved: set[str] = set()
    for model in project.select(select):
        progress(model.name)
        still = moved.isdisjoint(_bases(project, model))
        if not full and still and current(seen, project, model):
            built.append(Built(model.name, None, 0.0, "unchanged"))
            continue
        waiting = [ref for ref in model.refs if ref in failed]
        if waiting:
            failed[model.name] = Problem(
                str(model.path), f"{model.name} not built: {waiting[0]} failed"
            )
            continue
        try:
            built.append(one(con, project, model, full=full, feeds=feeds))
            if built[-1].how != "unchanged":
                moved.add(model.name)
        except ModelError as error:
            failed[model.name] = error.problems[0]
    feeds.forget()
    if failed:
        raise ModelError(list(failed.values()))
    return built


def one(
    con: DuckDBPyConnection,
    project: Project,
    model: Model,
    *,
    full: bool = False,
    feeds: changes.Feeds | None = None,
) -> Built:
    """Bring one model up to date, check and publish it.

    Raises:
        ModelError: the SQL fails or the result breaks the contract; the old table stays.
    """
    started = time.monotonic()
    known = feeds or changes.Feeds(con)
    try:
        how = lake.write(con, _Work(con, project, model, full, known).run)
        rows = _count(con, model)
    except duckdb.Error as error:
        known.forget()
        raise _located(model, error) from None
    except _Broken as error:
        known.forget()
        for name, bad in error.bad.items():
            contract.keep(con, f"{model.name}.{name}", "error", bad)
        raise ModelError([Problem(str(model.path), str(error))]) from None
    return Built(model.name, rows, time.monotonic() - started, how)


def _count(con: DuckDBPyConnection, model: Model) -> int | None:
    if model.header.materialization == "view":
        return None
    row = con.execute(f"select count(*) from lake.{model.name}").fetchone()
    return int(row[0]) if row else None


class _Work:
    """One model inside its transaction."""

    def __init__(
        self,
        con: DuckDBPyConnection,
        project: Project,
        model: Model,
        full: bool,
        feeds: changes.Feeds,
    ) -> None:
        self.con, self.project, self.model = con, project, model
        self.kind = model.header.materialization
        self.version = changes.version(project, model)
        self.full = full
        self.feeds = feeds
        self.tried = False

    def run(self) -> How:
        """Do the least that brings the table up to date."""
        if self.tried:
            self.feeds.forget()
        self.tried = True
        seen = changes.survey(self.con)
        before = None if self.full else seen.states.get(self.model.name)
        self.news = seen.news(_bases(self.project, self.model), before.snapshot if before else 0)
        if not self.full and current(seen, self.project, self.model):
            return "unchanged"
        known = before is not None and before.version == self.version
        stored = seen.kind(self.model.name)
        self._promise(contract.columns(self.con, self.model))
        if stored not in (None, "view" if self.kind == "view" else "table"):
            self.con.execute(f"drop {stored} lake.{self.model.name}")
        if not (known and stored and self._taken_in()):
            self._anew(stored == "table" and self.kind == "table")
            self._note()
            return "full"
        self._note()
        return "incremental"

    def _note(self) -> None:
        changes.note(self.con, self.model.name, State(self.version, self.news.upto))

    def _taken_in(self) -> bool:
        """Take only the change in; False when that cannot be done."""
        if self.kind != "incremental":
            return False
        task = increment.Task(
            self.con, self.project, self.model, self.news, self.feeds, self._check
        )
        if not increment.possible(task) or not increment.apply(task):
            return False
        self._publish(increment.DELTA, increment.GONE)
        return True

    def _anew(self, there: bool) -> None:
        """Build the whole; small tables keep their identity and change only where they differ."""
        name = self.model.name
        if self.kind == "view":
            self.con.execute(f"create or replace view lake.{name} as {self.model.sql}")
            self._check(f"lake.{name}")
        elif there and self._same_shape():
            self.con.execute(f"create or replace temp table _fresh as {self.model.sql}")
            task = increment.Task(
                self.con, self.project, self.model, self.news, self.feeds, self._check
            )
            increment.compare(task)
            self._publish(increment.DELTA, increment.GONE)
        else:
            names = ", ".join(f'"{column}"' for column in self.model.header.columns)
            self.con.execute(
                f"create or replace table lake.{name} as select {names} from ({self.model.sql})"
            )
            self._check(f"lake.{name}")

    def _same_shape(self) -> bool:
        there = contract.shape(self.con, f"lake.{self.model.name}")
        return there == contract.shape(self.con, f"({self.model.sql})")

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

    def _publish(self, delta: str, gone: str) -> None:
        """Write the rows that differ; nothing at all when none do."""
        table = f"lake.{self.model.name}"
        if self.con.execute(f"select 1 from {gone} limit 1").fetchone():
            same = " and ".join(
                f"{table}.{n} is not distinct from g.{n}" for n in self.model.header.grain
            )
            self.con.execute(f"delete from {table} using {gone} g where {same}")
        if self.con.execute(f"select 1 from {delta} limit 1").fetchone():
            names = ", ".join(f'"{column}"' for column in self.model.header.columns)
            self.con.execute(f"insert into {table} ({names}) select {names} from {delta}")


def current(seen: Survey, project: Project, model: Model) -> bool:
    """Say whether a model's table is up to date, by the catalog alone."""
    before = seen.states.get(model.name)
    if before is None or before.version != changes.version(project, model):
        return False
    kind = seen.kind(model.name)
    if model.header.materialization == "view" or kind != "table":
        return kind == model.header.materialization
    news = seen.news(_bases(project, model), before.snapshot)
    return not news.changed and not news.anew


def _bases(project: Project, model: Model) -> set[str]:
    return {base for read in model.reads for base in changes.bases(project, read)}


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

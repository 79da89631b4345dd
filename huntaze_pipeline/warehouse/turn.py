"""One model inside a transaction of the lake: the least that brings its table up to date.

Belongs here: whether to do nothing, take in what is new or build anew, the check against the
contract, and the writing. In which transaction, and what a failure means for other models, is
`runner`'s.
"""

import time
from dataclasses import dataclass
from typing import Any, Literal

from duckdb import DuckDBPyConnection

from huntaze_pipeline.warehouse import changes, contract, increment, parts
from huntaze_pipeline.warehouse.changes import State
from huntaze_pipeline.warehouse.differences import Change
from huntaze_pipeline.warehouse.journal import Apart, Journal
from huntaze_pipeline.warehouse.models import Model, Project
from huntaze_pipeline.warehouse.task import Task

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


class Broken(Exception):
    """A contract that does not hold; rolls the transaction back."""

    def __init__(self, faults: list[str], bad: dict[str, list[dict[str, Any]]]) -> None:
        super().__init__("; ".join(faults))
        self.bad = bad


class Turn:
    """One model's turn in a build."""

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
            name, bases(self.project, self.model), before.snapshot if before else 0
        )
        if known and stored == kind(self.model) and (self.view or self.news.nothing):
            return "unchanged"
        how: How = "incremental"
        if not (known and stored and self._taken_in()):
            self._anew(stored)
            how = "full"
        self.state = State(self.version, self.news.upto)
        return how

    def _task(self) -> Task:
        return Task(self.con, self.project, self.model, self.news, self.journal, self._check)

    def _taken_in(self) -> bool:
        """Take only the change in; False when that cannot be done."""
        if self.model.header.materialization != "incremental":
            return False
        task = self._task()
        found = increment.take(task) if increment.possible(task) else None
        if found is None:
            return False
        self._publish(*found)
        return True

    def _anew(self, stored: str | None) -> None:
        """Build the whole; small tables keep their identity and change only where they differ."""
        name, together = self.model.name, self.journal.together
        small = self.model.header.materialization == "table"
        if stored == "table" and (small or together) and self._same_shape():
            self._publish(*increment.compare(self._task()))
            return
        if together:
            raise Apart  # a table has to be made
        self._promise(contract.columns(self.con, self.model))
        if stored not in (None, kind(self.model)):
            self.con.execute(f"drop {stored} lake.{name}")
        if self.view:
            self.con.execute(f"create or replace view lake.{name} as {self.model.sql}")
        else:
            parts.write(self._task())
        self._check(f"lake.{name}")

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
            raise Broken(faults, bad or {})

    def _publish(self, change: Change, where: str) -> None:
        """Write the rows that differ; nothing at all when none do."""
        table = f"lake.{self.model.name}"
        if change.left:
            some = f" and t.rowid in ({change.ids})" if change.ids else ""
            self.con.execute(f"delete from {table} t where {where}{some}")
        if change.came:
            names = ", ".join(f'"{column}"' for column in self.model.header.columns)
            self.con.execute(
                f"insert into {table} ({names}) select {names} from {change.feed.came}"
            )
        if change.came or change.left:
            self.journal.wrote(self.model.name, change.feed)
        self.moved = (change.came, change.left)


def kind(model: Model) -> str:
    """Return what stands in the lake for a model."""
    return "view" if model.header.materialization == "view" else "table"


def bases(project: Project, model: Model) -> list[str]:
    """Return the stored tables that a model reads, through views too."""
    found = [base for read in model.reads for base in changes.bases(project, read)]
    return list(dict.fromkeys(found))

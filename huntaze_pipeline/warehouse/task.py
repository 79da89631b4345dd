"""One incremental model that has something to take in, and the relations that its SELECT reads.

Belongs here: what to put in place of a read. What is done with it is `increment`'s (what is new)
and `parts`' (everything).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from duckdb import DuckDBPyConnection

from huntaze_pipeline.clock import duration
from huntaze_pipeline.warehouse import changes
from huntaze_pipeline.warehouse.changes import News
from huntaze_pipeline.warehouse.header import NAMED, Incremental, Read
from huntaze_pipeline.warehouse.journal import Feed, Journal
from huntaze_pipeline.warehouse.models import Model, Project

_NAMED = {
    "windows": ("raw.windows", "max(seconds)"),
    "tests": ("raw.experiments", "max(2 * window_s)"),
}
"""Where the reaches of `header.NAMED` are looked up, in seconds."""


@dataclass(frozen=True, slots=True)
class Task:
    """One model to bring up to date."""

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
    def table(self) -> str:
        """Return where to read the table that is brought up to date."""
        return self.journal.own(self.model.name)

    @property
    def names(self) -> str:
        """Return the columns in the order of the header."""
        return ", ".join(f'"{name}"' for name in self.model.header.columns)

    def same(self, one: str, other: str) -> str:
        """Return the condition that two relations, by their aliases, have the same key."""
        pairs = (f"{one}.{name} is not distinct from {other}.{name}" for name in self.part.key)
        return " and ".join(pairs)

    def drives(self) -> dict[str, str]:
        """Return the changed tables that drive it: read name, base table."""
        pairs = [(r, b) for r in self.part.reads for b in changes.bases(self.project, r)]
        return {read: base for read, base in pairs if base in self.news.changed}

    def feed(self, base: str) -> Feed:
        """Return the rows that came into a changed table and left it."""
        return self.journal.feed(base, self.news.changed[base])

    def side(self, read: str, base: str, rows: str) -> str:
        """Return what a read makes of one side of its table's feed."""
        return self.journal.through(read, rows, self.relation(read, {base: rows}))

    def relation(self, read: str, instead: Mapping[str, str] | None = None) -> str:
        """Return a read as it is, views written out, with some base tables replaced."""
        instead = instead or {}
        rest = {b: self.journal.at(b) for b in self._bases(read) if b not in instead}
        return changes.relation(self.project, read, rest | dict(instead))

    def sql(self, relations: Mapping[str, str] | None = None) -> str:
        """Return the SELECT over other relations, views written out."""
        rest = {r: self.relation(r) for r in self.model.reads if r not in (relations or {})}
        return self.model.reading(rest | dict(relations or {}))

    def reaches(self) -> dict[str, tuple[timedelta, timedelta]]:
        """Return how long before its time, and after it, a row of each read matters."""
        reads = self.part.reads.items()
        return {read: (self._reach(how.ahead), self._reach(how.reach)) for read, how in reads}

    def own(self, how: Read) -> str:
        """Return the key's columns as a read names them."""
        return ", ".join(f"{how.key.get(name, name)} as {name}" for name in self.part.key)

    def _bases(self, read: str) -> tuple[str, ...]:
        return changes.bases(self.project, read)

    def _reach(self, text: str) -> timedelta:
        if text not in NAMED:
            return duration(text)
        table, longest = _NAMED[text]
        row = self.con.execute(f"select {longest} from {self.journal.at(table)}").fetchone()
        return timedelta(seconds=int(row[0]) if row and row[0] else 0)

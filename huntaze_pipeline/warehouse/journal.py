"""What one build remembers of the lake, so that it need not ask again for every model.

Kept are the survey of the catalog, while models are built in one transaction, and the rows that
came into and left tables: what the transaction wrote itself it knows, the rest is DuckLake's change
feed, read once for all models. Nothing here outlives the build.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from duckdb import DuckDBPyConnection

from huntaze_pipeline.sql import quoted
from huntaze_pipeline.warehouse import changes
from huntaze_pipeline.warehouse.changes import News, Span, Survey

_SMALL = 10_000
"""Rows up to which reading a whole table is faster than asking the catalog where they are."""

_FEED = "ducklake_table_"
_SIDES = ("insertions", "deletions")


@dataclass(frozen=True, slots=True)
class Feed:
    """Relations in the shape of the table they come from."""

    came: str
    left: str | None
    """None when no row left."""

    @property
    def sides(self) -> tuple[str, ...]:
        """Return both, or the one that there is."""
        return (self.came,) if self.left is None else (self.came, self.left)


class Apart(Exception):
    """What is asked cannot be done in one transaction with other models."""


class Journal:
    """One build's memory."""

    def __init__(self, con: DuckDBPyConnection, *, together: bool = False) -> None:
        """Begin with an empty memory.

        Args:
            con: the lake.
            together: all models are built in one transaction; else each in its own.
        """
        self._con = con
        self.together = together
        self._seen: Survey | None = None
        self._feeds: dict[tuple[str, int, int], Feed] = {}
        self._now: dict[str, Feed] = {}
        self._through: dict[tuple[str, str], str] = {}
        self._days: dict[tuple[str, str], frozenset[date]] = {}
        self._tables: set[str] = set()
        self._copies: dict[str, str] = {}

    def look(self) -> Survey:
        """Return the catalog as the present transaction found it."""
        if self._seen is None or not self.together:
            self._seen = changes.survey(self._con)
        return self._seen

    def news(self, name: str, tables: Sequence[str], since: int) -> News:
        """Return what a model has to take in, rows that this transaction wrote included."""
        found = self.look().news(name, tables, since)
        mine = {table: found.changed.get(table) for table in tables if table in self._now}
        return replace(found, changed={**found.changed, **mine}) if mine else found

    def table(self, kind: str, model: str) -> str:
        """Return the name of a temporary table for a model's rows.

        Later models of the same transaction read what came into the table from it; otherwise the
        next model has no use for it and takes its place.
        """
        if not self.together:
            return f"_{kind}"
        name = f"_{kind}_{model.replace('.', '_')}"
        self._tables.add(name)
        return name

    def wrote(self, table: str, rows: Feed) -> None:
        """Remember what has just been written to a table and taken out of it."""
        if self.together:
            self._now[table] = rows

    def own(self, table: str) -> str:
        """Return where to read a table with the lake's ids of its rows."""
        if self.together and table not in self._now and not self.look().came(table):
            return f"(select rowid, * from lake.{table} where false)"
        return f"lake.{table}"

    def at(self, table: str) -> str:
        """Return where to read a stored table: of a small one there is a copy in this transaction.

        Its last name stays, for that is how a SELECT without an alias calls it.
        """
        name = f"temp.{table.split('.')[1]}"
        if not self._copied(table) or self._copies.get(name, table) != table:
            return f"lake.{table}"
        if name not in self._copies:
            # For a table without rows DuckLake looks up what it knows of each column, in vain.
            none = "" if self.look().came(table) else " where false"
            self._con.execute(f"create or replace temp table {name} as from lake.{table}{none}")
            self._tables.add(name)
            self._copies[name] = table
        return name

    def _copied(self, table: str) -> bool:
        """Say whether a table is small, and the same from the first to the last who reads it."""
        return (
            self.together
            and table not in self._now
            and self.look().kind(table) == "table"
            and self.look().came(table) <= _SMALL
        )

    def through(self, read: str, rows: str, made: str) -> str:
        """Return what a read makes of one side of a feed: worked out once for all who read it.

        Args:
            read: the table, or a view over it.
            rows: the side of the feed.
            made: the view's SELECT over it; the side itself where the table is read.
        """
        if not self.together or (made == rows and not rows.startswith(_FEED)):
            return made
        if (read, rows) not in self._through:
            name = f"_through_{read.replace('.', '_')}_{len(self._through)}"
            self._con.execute(f"create or replace temp table {name} as from {made}")
            self._tables.add(name)
            self._through[read, rows] = name
        return self._through[read, rows]

    def days(self, rows: str, time: str) -> frozenset[date]:
        """Return the days on which a relation has rows; of one kept here, asked for only once."""
        key = (rows, time)
        if key in self._days:
            return self._days[key]
        query = f"select distinct cast({time} as date) from {rows}"
        found = frozenset(row[0] for row in self._con.execute(query).fetchall() if row[0])
        if self.together:
            self._days[key] = found
        return found

    def sign(self, names: Sequence[str]) -> None:
        """Let the snapshot say which models were built in it: they know of each other's rows."""
        note = quoted(json.dumps({changes.BUILT: list(names)}))
        self._con.execute(
            f"call lake.set_commit_message('huntaze', 'models built', extra_info => {note})"
        )

    def feed(self, table: str, span: Span | None) -> Feed:
        """Return what happened to a table in a span of snapshots, or in this transaction.

        Raises:
            Apart: both; DuckLake's feed is wrong about a table that the transaction has changed.
        """
        if span is None:
            return self._now[table]
        if table in self._now:
            raise Apart
        key = (table, *span)
        if key not in self._feeds:
            self._feeds[key] = self._bring(*key)
        return self._feeds[key]

    def forget(self) -> None:
        """Start anew: a transaction that was rolled back took its temporary tables along."""
        for table in self._tables:
            self._con.execute(f"drop table if exists {table}")
        self._tables.clear()
        self._feeds.clear()
        self._now.clear()
        self._through.clear()
        self._copies.clear()
        self._days.clear()
        self._seen = None

    def _bring(self, table: str, first: int, last: int) -> Feed:
        """Keep what came and what left: asked for apart, they are not matched up as updates."""
        schema, name = (quoted(part) for part in table.split("."))
        of = f"('lake', {schema}, {name}, {first}, {last})"
        if self.together and not self.look().cut(table, (first, last)):
            # The catalog knows that nothing left, so the files need not be asked; what came is
            # read where it is needed, in the shape in which it is needed (`through`).
            return Feed(f"{_FEED}insertions{of}", None)
        came, left = (f"_{s}_{table.replace('.', '_')}_{first}_{last}" for s in _SIDES)
        for side, kept in zip(_SIDES, (came, left), strict=True):
            self._con.execute(f"create or replace temp table {kept} as from {_FEED}{side}{of}")
            self._tables.add(kept)
        some = self._con.execute(f"select 1 from {left} limit 1").fetchone()
        return Feed(came, left if some else None)

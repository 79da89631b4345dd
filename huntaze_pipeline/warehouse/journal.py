"""What one build remembers of the lake, so that it need not ask again for every model.

Kept are the survey of the catalog, while models are built in one transaction, and the rows that
came into and left tables: what the transaction wrote itself it knows, the rest is DuckLake's change
feed, read once for all models. Nothing here outlives the build.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from duckdb import DuckDBPyConnection

from huntaze_pipeline.warehouse import changes, lake
from huntaze_pipeline.warehouse.changes import News, Span, Survey


@dataclass(frozen=True, slots=True)
class Feed:
    """Two relations in the shape of the table they come from."""

    came: str
    left: str


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
        self._tables: set[str] = set()

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

    def wrote(self, table: str, rows: Feed) -> None:
        """Remember what has just been written to a table and taken out of it."""
        if self.together:
            kept = _named(table)
            self._con.execute(f"alter table {rows.came} rename to {kept.came}")
            self._con.execute(f"alter table {rows.left} rename to {kept.left}")
            self._tables |= {kept.came, kept.left}
            self._now[table] = kept

    def sign(self, names: Sequence[str]) -> None:
        """Let the snapshot say which models were built in it: they know of each other's rows."""
        note = lake.quoted(json.dumps({changes.BUILT: list(names)}))
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
        self._seen = None

    def _bring(self, table: str, first: int, last: int) -> Feed:
        schema, name = (lake.quoted(part) for part in table.split("."))
        kept = f"_feed_{table.replace('.', '_')}_{first}_{last}"
        self._con.execute(
            f"create or replace temp table {kept} as select * exclude (snapshot_id, rowid)"
            f" from ducklake_table_changes('lake', {schema}, {name}, {first}, {last})"
        )
        self._tables.add(kept)
        rows = f"(select * exclude (change_type) from {kept} where change_type in"
        return Feed(f"{rows} {_CAME})", f"{rows} {_LEFT})")


_CAME = "('insert', 'update_postimage')"
_LEFT = "('delete', 'update_preimage')"


def _named(table: str) -> Feed:
    stem = f"{table.replace('.', '_')}_now"
    return Feed(f"_in_{stem}", f"_out_{stem}")

"""What happened to the tables of the lake since a snapshot: nothing, rows, or a new table.

The catalog tells without reading any data whether a table changed; the rows themselves come from
DuckLake's change feed. What a model makes of them is `increment`'s.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from duckdb import DuckDBPyConnection

from huntaze_pipeline.warehouse import lake
from huntaze_pipeline.warehouse.models import Model, Project

CATALOG = "__ducklake_metadata_lake.lake"
_TOUCHED = re.compile(
    r"(?:inserted_into_table|deleted_from_table|inlined_insert|inlined_delete):(\d+)"
)


@dataclass(frozen=True, slots=True)
class State:
    """How far a model's table has come."""

    version: str
    """Of the SQL that built it, views that it reads through included."""
    snapshot: int
    """Everything up to this snapshot is in it."""


@dataclass(frozen=True, slots=True)
class News:
    """What a model has to take in."""

    since: int
    upto: int
    changed: Mapping[str, tuple[int, int]]
    """Tables it reads whose rows changed: the first and the last snapshot that did it."""
    anew: frozenset[str]
    """Tables it reads that were made anew: there is no feed from before."""


def bases(project: Project, name: str) -> tuple[str, ...]:
    """Return the stored tables behind a name: itself, or what a view reads, all the way down."""
    model = project.models_by_name.get(name)
    if model is None or model.header.materialization != "view":
        return (name,)
    found = [base for read in model.reads for base in bases(project, read)]
    return tuple(dict.fromkeys(found))


def relation(project: Project, name: str, instead: Mapping[str, str]) -> str:
    """Return a FROM-able text for a table, views written out, with some base tables replaced."""
    if name in instead:
        return instead[name]
    model = project.models_by_name.get(name)
    if model is None or model.header.materialization != "view":
        return f"lake.{name}"
    return f"({model.reading({r: relation(project, r, instead) for r in model.reads})})"


def version(project: Project, model: Model) -> str:
    """Return the version of a model and of the views that it reads through."""
    through = [
        version(project, view)
        for ref in model.refs
        if (view := project.model(ref)).header.materialization == "view"
    ]
    return "-".join([model.version, *through])[:400]


def note(con: DuckDBPyConnection, name: str, reached: State) -> None:
    """Write down how far a model's table has come; in the transaction that brings it there."""
    con.execute(f"delete from lake.raw.builds where model = {lake.quoted(name)}")
    con.execute(
        f"insert into lake.raw.builds values ({lake.quoted(name)},"
        f" {lake.quoted(reached.version)}, {reached.snapshot})"
    )


def news(con: DuckDBPyConnection, tables: Iterable[str], since: int) -> News:
    """Ask the catalog which of these tables changed after a snapshot."""
    return survey(con, since).news(tables, since)


def survey(con: DuckDBPyConnection, since: int | None = None) -> "Survey":
    """Look at the whole catalog once; by default since the model that is furthest behind."""
    states = {
        str(name): State(str(version), int(snapshot))
        for name, version, snapshot in con.execute("from lake.raw.builds").fetchall()
    }
    if since is None:
        since = min((state.snapshot for state in states.values()), default=0)
    row = con.execute("select id from lake.current_snapshot()").fetchone()
    upto = int(row[0]) if row else since
    made = con.execute(
        f"select snapshot_id, changes_made from {CATALOG}.ducklake_snapshot_changes"
        f" where snapshot_id > {since} and snapshot_id <= {upto}"
    ).fetchall()
    moves: dict[int, list[int]] = {}
    for snapshot, text in sorted(made):
        for number in _TOUCHED.findall(str(text)):
            moves.setdefault(int(number), []).append(int(snapshot))
    things = {
        str(name): (str(what), int(number), int(born))
        for what, name, number, born in con.execute(_THINGS).fetchall()
    }
    row = con.execute(f"select min(snapshot_id) from {CATALOG}.ducklake_snapshot").fetchone()
    return Survey(upto, states, things, moves, int(row[0]) if row else 0)


@dataclass(frozen=True, slots=True)
class Survey:
    """What the catalog says at one moment."""

    upto: int
    """The newest snapshot then."""
    states: Mapping[str, State]
    things: Mapping[str, tuple[str, int, int]]
    """Name: table or view, its id, the snapshot that made it."""
    moves: Mapping[int, Sequence[int]]
    """Table id: the snapshots that changed its rows, in order."""
    oldest: int
    """The oldest snapshot that is kept."""

    def kind(self, name: str) -> str | None:
        """Return what stands under a name: table, view or nothing."""
        return self.things[name][0] if name in self.things else None

    def _lost(self, since: int) -> bool:
        """Say whether what happened after a snapshot was cleaned up: then nothing can be told."""
        return since < self.upto and since + 1 < self.oldest

    def news(self, tables: Iterable[str], since: int) -> News:
        """Return which of these tables changed after a snapshot."""
        changed, anew = {}, set()
        for name in tables:
            if name not in self.things:
                continue
            _, number, born = self.things[name]
            if born > since or self._lost(since):
                anew.add(name)
            after = [snapshot for snapshot in self.moves.get(number, ()) if snapshot > since]
            if after:
                changed[name] = (after[0], after[-1])
        return News(since, self.upto, changed, frozenset(anew))


# DuckDB's own listing plans every view of the lake, which takes longer than a build.
_THINGS = f"""
    with living as (
        select schema_id, schema_name from {CATALOG}.ducklake_schema where end_snapshot is null
    )
    select 'table', s.schema_name || '.' || t.table_name, t.table_id, first.born
    from {CATALOG}.ducklake_table t join living s using (schema_id)
    join (
        select table_id, min(begin_snapshot) as born from {CATALOG}.ducklake_table group by table_id
    ) first using (table_id)
    where t.end_snapshot is null
    union all
    select 'view', s.schema_name || '.' || v.view_name, v.view_id, v.begin_snapshot
    from {CATALOG}.ducklake_view v join living s using (schema_id)
    where v.end_snapshot is null
"""


@dataclass(frozen=True, slots=True)
class Feed:
    """Two temporary tables in the shape of the table they come from."""

    came: str
    left: str


class Feeds:
    """The rows that came into and left tables, brought once for all models of a build."""

    def __init__(self, con: DuckDBPyConnection) -> None:
        self._con = con
        self._kept: dict[tuple[str, int, int], Feed] = {}

    def of(self, table: str, span: tuple[int, int]) -> Feed:
        """Return what happened to a table from one snapshot to another, both included."""
        key = (table, *span)
        if key not in self._kept:
            self._kept[key] = self._bring(*key)
        return self._kept[key]

    def forget(self) -> None:
        """Start anew: a transaction that was rolled back took its temporary tables along."""
        for feed in self._kept.values():
            self._con.execute(f"drop table if exists {feed.came}")
            self._con.execute(f"drop table if exists {feed.left}")
        self._kept.clear()

    def _bring(self, table: str, first: int, last: int) -> Feed:
        schema, name = (lake.quoted(part) for part in table.split("."))
        stem = f"{table.replace('.', '_')}_{first}_{last}"
        feed = Feed(f"_in_{stem}", f"_out_{stem}")
        self._con.execute(
            "create or replace temp table _feed as select * exclude (snapshot_id, rowid)"
            f" from ducklake_table_changes('lake', {schema}, {name}, {first}, {last})"
        )
        for kind, change in (
            (feed.came, "'insert', 'update_postimage'"),
            (feed.left, "'delete', 'update_preimage'"),
        ):
            self._con.execute(
                f"create or replace temp table {kind} as select * exclude (change_type)"
                f" from _feed where change_type in ({change})"
            )
        self._con.execute("drop table _feed")
        return feed

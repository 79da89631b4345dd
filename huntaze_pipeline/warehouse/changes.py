"""What happened to the tables of the lake since a snapshot: nothing, rows, or a new table.

The catalog tells without reading any data whether a table changed. The rows themselves, and what
one build remembers, are `journal`'s; what a model makes of them is `increment`'s.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from duckdb import DuckDBPyConnection

from huntaze_pipeline.sql import quoted
from huntaze_pipeline.warehouse.models import Model, Project

CATALOG = "__ducklake_metadata_lake.lake"
_TOUCHED = re.compile(
    r"(inserted_into_table|deleted_from_table|inlined_insert|inlined_delete):(\d+)"
)


BUILT = "built"
"""Key of a snapshot's own note: the models that were built together in it."""
Span = tuple[int, int]
"""The first and the last snapshot of a stretch."""


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
    changed: Mapping[str, Span | None]
    """Tables it reads whose rows changed: the first and the last snapshot that did it; None when
    only the present transaction did."""
    anew: frozenset[str]
    """Tables it reads that were made anew: there is no feed from before."""

    @property
    def nothing(self) -> bool:
        """Say that there is nothing to take in."""
        return not self.changed and not self.anew


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


def note(con: DuckDBPyConnection, reached: Mapping[str, State]) -> None:
    """Write down how far models' tables have come; in the transaction that brings them there.

    Two transactions that do this for one model conflict, so that no change is taken in twice.
    """
    if not reached:
        return
    names = ", ".join(map(quoted, reached))
    rows = ", ".join(
        f"({quoted(name)}, {quoted(state.version)}, {state.snapshot})"
        for name, state in reached.items()
    )
    con.execute(f"delete from lake.raw.builds where model in ({names})")
    con.execute(f"insert into lake.raw.builds values {rows}")


def survey(con: DuckDBPyConnection, since: int | None = None) -> "Survey":
    """Look at the whole catalog once; by default from where the model furthest behind stands."""
    states = {
        str(name): State(str(version), int(snapshot))
        for name, version, snapshot in con.execute("from lake.raw.builds").fetchall()
    }
    if since is None:
        since = min((state.snapshot for state in states.values()), default=0)
    row = con.execute("select id from lake.current_snapshot()").fetchone()
    upto = int(row[0]) if row else 0
    made = con.execute(
        "select snapshot_id, changes_made, commit_extra_info"
        f" from {CATALOG}.ducklake_snapshot_changes"
        f" where snapshot_id > {since} and snapshot_id <= {upto}"
    ).fetchall()
    moves: dict[int, list[int]] = {}
    cuts: dict[int, set[int]] = {}
    for snapshot, text, _ in sorted(made):
        for how, number in _TOUCHED.findall(str(text)):
            moves.setdefault(int(number), []).append(int(snapshot))
            if "delete" in how:
                cuts.setdefault(int(number), set()).add(int(snapshot))
    things = {
        str(name): (str(what), int(number), int(born))
        for what, name, number, born in con.execute(_THINGS).fetchall()
    }
    row = con.execute(f"select min(snapshot_id) from {CATALOG}.ducklake_snapshot").fetchone()
    together = {int(snapshot): _built(note) for snapshot, _, note in made if note}
    oldest = int(row[0]) if row else 0
    rows = con.execute(
        f"select table_id, record_count from {CATALOG}.ducklake_table_stats"
    ).fetchall()
    return Survey(upto, states, things, moves, cuts, oldest, together, dict(rows))


def _built(note: str) -> frozenset[str]:
    """Read which models a snapshot built; notes of others say nothing of that."""
    try:
        found = json.loads(note)
    except ValueError:
        return frozenset()
    return frozenset(found.get(BUILT, ())) if isinstance(found, dict) else frozenset()


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
    cuts: Mapping[int, Set[int]]
    """Table id: those of them that took rows out of it."""
    oldest: int
    """The oldest snapshot that is kept."""
    together: Mapping[int, frozenset[str]]
    """Snapshots in which several models were built: each of them has seen the others' rows."""
    counts: Mapping[int, int]
    """Table id: how many rows ever came to it; one that never had a row is missing."""

    def came(self, name: str) -> int:
        """Return how many rows ever came to a table: there are no more."""
        return self.counts.get(self.things[name][1], 0)

    def kind(self, name: str) -> str | None:
        """Return what stands under a name: table, view or nothing."""
        return self.things[name][0] if name in self.things else None

    def cut(self, name: str, span: Span) -> bool:
        """Say whether rows were taken out of a table in a stretch of snapshots."""
        first, last = span
        return any(first <= cut <= last for cut in self.cuts.get(self.things[name][1], ()))

    def _lost(self, since: int) -> bool:
        """Say whether what happened after a snapshot was cleaned up: then nothing can be told."""
        return since < self.upto and since + 1 < self.oldest

    def news(self, model: str, tables: Iterable[str], since: int) -> News:
        """Return which of these tables changed after a snapshot, for a model that reads them."""
        changed, anew = {}, set()
        for name in tables:
            if name not in self.things:
                continue
            _, number, born = self.things[name]
            if born > since or self._lost(since):
                anew.add(name)
            after = [
                snapshot
                for snapshot in self.moves.get(number, ())
                if snapshot > since and model not in self.together.get(snapshot, ())
            ]
            if after:
                changed[name] = (after[0], after[-1])
        return News(since, self.upto, changed, frozenset(anew))

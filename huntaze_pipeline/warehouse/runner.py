"""Building models: into a table of its own, checked against the contract, then published.

A model that fails leaves its last good table in place, and stops those that read it; the others are
built. Every failure is reported at the end with the model and what was wrong.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
from duckdb import DuckDBPyConnection

from huntaze_pipeline.errors import ModelError, Problem
from huntaze_pipeline.warehouse import lake
from huntaze_pipeline.warehouse.models import Audit, Model, Project

_ALIASES = {"TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE", "TEXT": "VARCHAR", "BOOL": "BOOLEAN"}
_SAMPLE = 3


@dataclass(frozen=True, slots=True)
class Built:
    """One model that was built and published."""

    name: str
    rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Audited:
    """What an audit found."""

    name: str
    severity: str
    bad: int
    sample: tuple[dict[str, Any], ...]


def build(
    con: DuckDBPyConnection,
    project: Project,
    select: Iterable[str] | None = None,
    progress: Callable[[str], None] = lambda name: None,
) -> list[Built]:
    """Build models in the order of their dependencies; `select=None` builds all.

    Raises:
        ModelError: some could not be built, with the reason of each; the rest are published.
    """
    built: list[Built] = []
    failed: dict[str, Problem] = {}
    for model in project.select(select):
        progress(model.name)
        waiting = [ref for ref in model.refs if ref in failed]
        if waiting:
            failed[model.name] = Problem(
                str(model.path), f"{model.name} not built: {waiting[0]} failed"
            )
            continue
        try:
            built.append(one(con, model))
        except ModelError as error:
            failed[model.name] = error.problems[0]
    if failed:
        raise ModelError(list(failed.values()))
    return built


def one(con: DuckDBPyConnection, model: Model) -> Built:
    """Build, check and publish one model.

    Raises:
        ModelError: the SQL fails or the result breaks the contract; the old table stays.
    """
    started = time.monotonic()
    fresh = f"_new_{model.name.replace('.', '_')}"
    kind = "view" if model.header.materialization == "view" else "table"
    try:
        con.execute(f"create or replace temp {kind} {fresh} as {model.sql}")
        _contract(con, model, fresh)
        rows = _grain(con, model, fresh)
        _conditions(con, model, fresh)
        served = _served(con, model, fresh)
        lake.write(con, lambda: _publish(con, model, fresh, served))
    except duckdb.Error as error:
        raise _broken(model, error) from None
    finally:
        con.execute(f"drop {kind} if exists {fresh}")
    return Built(model.name, rows, time.monotonic() - started)


def audit(con: DuckDBPyConnection, audits: Sequence[Audit]) -> list[Audited]:
    """Run audits; each returns how many bad rows there are and some of them.

    Raises:
        ModelError: an audit's SQL does not run.
    """
    return [_audited(con, item) for item in audits]


def _audited(con: DuckDBPyConnection, item: Audit) -> Audited:
    try:
        relation = con.execute(item.sql)
        names = [column[0] for column in relation.description or ()]
        rows = relation.fetchall()
    except duckdb.Error as error:
        raise ModelError([Problem(f"{item.path}", _first(error))]) from None
    sample = tuple(dict(zip(names, row, strict=True)) for row in rows[:_SAMPLE])
    return Audited(item.name, item.header.severity, len(rows), sample)


def _publish(con: DuckDBPyConnection, model: Model, fresh: str, served: "_Served") -> None:
    """Replace what is served, in one transaction; a table of the same shape keeps its identity."""
    wanted = model.header.materialization
    if served.kind not in (None, wanted):
        con.execute(f"drop {served.kind} lake.{model.name}")
    if wanted == "view":
        con.execute(f"create or replace view lake.{model.name} as {model.sql}")
    elif served.same:
        con.execute(f"delete from lake.{model.name}")
        con.execute(f"insert into lake.{model.name} select * from {fresh}")
    else:
        con.execute(f"create or replace table lake.{model.name} as select * from {fresh}")


@dataclass(frozen=True, slots=True)
class _Served:
    """What stands under the model's name now."""

    kind: str | None
    same: bool
    """A table whose columns are those of the new one."""


def _served(con: DuckDBPyConnection, model: Model, fresh: str) -> _Served:
    try:
        shape = _shape(con, f"lake.{model.name}")
    except duckdb.CatalogException:
        return _Served(None, False)
    except duckdb.BinderException:
        return _Served("view", False)  # its tables have changed under it
    schema, name = (lake.quoted(part) for part in model.name.split("."))
    view = con.execute(
        "select 1 from duckdb_views() where database_name = 'lake'"
        f" and schema_name = {schema} and view_name = {name}"
    ).fetchone()
    return _Served("view" if view else "table", not view and shape == _shape(con, fresh))


def _shape(con: DuckDBPyConnection, relation: str) -> list[tuple[str, str]]:
    rows = con.execute(f"describe select * from {relation}").fetchall()
    return [(str(row[0]), str(row[1])) for row in rows]


def _contract(con: DuckDBPyConnection, model: Model, fresh: str) -> None:
    """Compare the columns with the header, all differences at once."""
    has = dict(_shape(con, fresh))
    wants = {c.name: _ALIASES.get(c.type, c.type) for c in model.columns}
    faults = [f"column {name} is missing" for name in wants if name not in has]
    faults += [f"column {name} is not in the header" for name in has if name not in wants]
    faults += [
        f"column {name} is {has[name]}, the header says {kind}"
        for name, kind in wants.items()
        if name in has and has[name] != kind
    ]
    if faults:
        raise ModelError([Problem(str(model.path), "; ".join(faults))])


def _grain(con: DuckDBPyConnection, model: Model, fresh: str) -> int:
    """Count the rows; no two may have the same grain."""
    grain = ", ".join(model.header.grain)
    digest = f"hash({grain})" if grain else "1"
    row = con.execute(f"select count(*), count(distinct {digest}) from {fresh}").fetchone()
    if grain and row and row[0] != row[1]:
        twice = con.execute(
            f"select {grain}, count(*) as times from {fresh} group by {grain}"
            " having count(*) > 1 limit 1"
        ).fetchone()
        if twice is not None:
            key = ", ".join(f"{n}={v!r}" for n, v in zip(model.header.grain, twice, strict=False))
            raise ModelError(
                [
                    Problem(
                        str(model.path), f"grain ({grain}) is not unique: {key}, {twice[-1]} times"
                    )
                ]
            )
    return int(row[0]) if row else 0


def _conditions(con: DuckDBPyConnection, model: Model, fresh: str) -> None:
    for name, sql in model.header.audits.items():
        bad = con.execute(f"with this as (from {fresh}) {sql}").fetchone()
        if bad is not None:
            raise ModelError([Problem(str(model.path), f"audit {name}: bad row {bad}")])


def _broken(model: Model, error: duckdb.Error) -> ModelError:
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

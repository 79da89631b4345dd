"""Unit tests of models: rows given to the tables it reads, rows expected from it.

A case is YAML: `model`, `name`, `given: {staging.x: [rows], raw.y: [rows]}`, `expect: [rows]`.
Columns that are left out are NULL in what is given and not compared in what is expected. It runs in
a DuckDB in memory: no server, no lake.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import yaml
from duckdb import DuckDBPyConnection

from huntaze_pipeline.errors import ModelError, Problem
from huntaze_pipeline.source import LOADER
from huntaze_pipeline.warehouse import lake, raw
from huntaze_pipeline.warehouse.models import Model, Project

Row = dict[str, Any]
_KEYS = ("name", "model", "given", "expect")


@dataclass(frozen=True, slots=True)
class Case:
    """One case."""

    name: str
    model: str
    given: dict[str, list[Row]]
    expect: list[Row]
    path: Path


def load(folder: Path) -> list[Case]:
    """Read all cases of a folder (`*.yaml`; several documents a file), or of one file.

    Raises:
        ModelError: a file is no case; all of them are named.
    """
    found: list[Case] = []
    problems: list[Problem] = []
    for path in [folder] if folder.is_file() else sorted(folder.glob("**/*.yaml")):
        try:
            documents = yaml.load_all(path.read_text(encoding="utf-8"), LOADER)
            found += [_case(data, path) for data in documents]
        except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
            problems.append(Problem(str(path), f"is no case (name, model, given, expect): {error}"))
    if problems:
        raise ModelError(problems)
    return found


def run(project: Project, case: Case) -> list[str]:
    """Run one case; return the differences, none when it passes.

    Raises:
        ModelError: the model is unknown, or given rows do not fit their tables.
    """
    model = project.model(case.model)
    _reading(model, case)
    con = lake.engine()
    try:
        con.execute("attach ':memory:' as lake")
        for schema in lake.SCHEMAS:
            con.execute(f"create schema lake.{schema}")
        for name in (*model.refs, *model.sources):
            _fill(con, name, _columns(project, name), case)
        return _differences(con, model, case)
    finally:
        con.close()


def _case(data: Any, path: Path) -> Case:
    if not isinstance(data, dict):
        raise TypeError("write each of these as a key")
    wrong = next((key for key in data if key not in _KEYS), None)
    if wrong is not None:
        raise ValueError(f"{wrong!r} is none of its keys")
    given, expect = data.get("given") or {}, data["expect"] or []
    if not isinstance(given, dict) or not all(map(_rows, (*given.values(), expect))):
        raise TypeError("`given` is rows by table, `expect` is rows, a row is a map of columns")
    return Case(
        str(data["name"]), str(data["model"]),
        {table: rows or [] for table, rows in given.items()}, expect, path,
    )  # fmt: skip


def _rows(found: Any) -> bool:
    return found is None or (
        isinstance(found, list) and all(isinstance(row, dict) for row in found)
    )


def _reading(model: Model, case: Case) -> None:
    """Refuse rows of a table that the model does not read: it would see none, and may pass."""
    wrong = next((table for table in case.given if table not in model.reads), None)
    if wrong is not None:
        reads = ", ".join(model.reads)
        raise ModelError(
            [Problem(f"{case.path}: {case.name}", f"{model.name} reads {reads}, not {wrong!r}")]
        )


def _columns(project: Project, name: str) -> dict[str, str]:
    if name.startswith("raw."):
        return raw.TABLES[name.removeprefix("raw.")]
    return {column.name: column.type for column in project.model(name).columns}


def _fill(con: DuckDBPyConnection, name: str, columns: dict[str, str], case: Case) -> None:
    declared = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
    con.execute(f"create table lake.{name} ({declared})")
    for row in case.given.get(name, []):
        wrong = [column for column in row if column not in columns]
        if wrong:
            raise ModelError([Problem(str(case.path), f"{name} has no column {wrong[0]}")])
        names = ", ".join(f'"{column}"' for column in row)
        marks = ", ".join("?" for _ in row)
        try:
            con.execute(f"insert into lake.{name} ({names}) values ({marks})", list(row.values()))
        except duckdb.Error as error:
            reason = str(error).strip().splitlines()[0]
            raise ModelError([Problem(f"{case.path}: {case.name}", f"{name}: {reason}")]) from None


def _differences(con: DuckDBPyConnection, model: Model, case: Case) -> list[str]:
    names = list(case.expect[0]) if case.expect else [model.columns[0].name]
    try:
        chosen = ", ".join(f'"{name}"' for name in names)
        rows = con.execute(f"select {chosen} from ({model.sql})").fetchall()
    except duckdb.Error as error:
        return [str(error).strip()]
    got = sorted([_plain(dict(zip(names, row, strict=True))) for row in rows], key=str)
    want = sorted([_plain(row) for row in case.expect], key=str)
    missing = [f"expected but not there: {row}" for row in want if row not in got]
    extra = [f"there but not expected: {row}" for row in got if row not in want]
    if not missing and not extra and got != want:
        return [f"the same rows, but not as often: expected {want}, got {got}"]
    return missing + extra


def _plain(row: Row) -> Row:
    """Times as UTC text, so that a YAML text and a database value compare equal."""
    return {name: _value(value) for name, value in row.items()}


def _value(value: Any) -> Any:
    if isinstance(value, str) and len(value) >= 16 and value[4:5] == "-" and "T" in value:
        return _value(datetime.fromisoformat(value.replace("Z", "+00:00")))
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return aware.astimezone(UTC).isoformat()
    return value.isoformat() if isinstance(value, date) else value

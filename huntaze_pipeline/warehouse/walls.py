"""What a report's SQL may read: models it names by `ref`, each cut down to one creator.

The cut is made here, not by the report's author: `ref('metrics.revenue')` becomes a subquery that
holds one creator's rows, and every other way to a table is refused when the file is loaded. The
creator and the parameters are values of a prepared statement, never part of its text.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime

import duckdb

from huntaze_pipeline.errors import Problem
from huntaze_pipeline.sql import quoted
from huntaze_pipeline.warehouse import lake, reach
from huntaze_pipeline.warehouse.models import Model, Project
from huntaze_pipeline.warehouse.reports import SQL_TYPES, Kind, Parameter, Report

CREATOR = "creator"
_REF = re.compile(r"\bref\(\s*'([^']*)'\s*\)")
_VALUE = re.compile(r"\$([A-Za-z_]\w*)")
_LINE = re.compile(r"\bLINE (\d+):")
_TAKEN: dict[str, tuple[str, ...]] = {
    "text": ("VARCHAR",), "date": ("DATE",), "month": ("DATE",),
    "instant": ("TIMESTAMP WITH TIME ZONE",), "flag": ("BOOLEAN",),
    "count": ("BIGINT", "INTEGER", "HUGEINT", "UBIGINT", "SMALLINT"),
    "money": ("BIGINT", "INTEGER", "HUGEINT"),
    "weekday": ("BIGINT", "INTEGER"), "hour": ("BIGINT", "INTEGER"),
}  # fmt: skip
"""SQL types that each format can be written from; the others take every type of number."""
_NUMBERS = ("DOUBLE", "FLOAT", "DECIMAL", "BIGINT", "INTEGER", "HUGEINT")
Value = str | int | float | bool | date | datetime | None


def refs(text: str) -> tuple[str, ...]:
    """Return the models that a report reads, each once."""
    return tuple(dict.fromkeys(_REF.findall(text)))


def statement(report: Report) -> str:
    """Return the SELECT to prepare: walls around every model, types around every value."""
    kinds = {p.name: SQL_TYPES[p.kind] for p in report.parameters} | {CREATOR: "VARCHAR"}
    typed = _VALUE.sub(lambda m: f"cast(${m[1]} as {kinds[m[1]]})", report.text)
    return _REF.sub(
        lambda m: f"(select * from lake.{m[1]} where creator_id = cast(${CREATOR} as VARCHAR))",
        typed,
    ).strip()


def taken(report: Report) -> set[str]:
    """Return the names of the values that the statement takes."""
    return set(_VALUE.findall(report.text)) | ({CREATOR} if report.refs else set())


def literal(value: Value, kind: Kind = "text") -> str:
    """Return a value as a literal that EXECUTE binds."""
    if value is None:
        return "null"
    if kind in ("integer", "number", "flag"):
        return str(value).lower()
    return quoted(value.isoformat() if isinstance(value, date) else str(value))


def faults(reports: Sequence[Report], project: Project) -> list[Problem]:
    """Return what keeps reports from running, each fault with file:line; runs none of them."""
    models = {model.name: model for model in project.models}
    problems: list[Problem] = []
    sound = []
    for report in reports:
        own = [*_unknown(report, models), *_loose(report)]
        problems += own
        if not own:
            sound.append(report)
    return problems + _contracts(sound, models)


def _unknown(report: Report, models: Mapping[str, Model]) -> list[Problem]:
    """Models that are none, and values that the header does not declare."""
    declared = {p.name for p in report.parameters} | {CREATOR}
    problems = [
        Problem(_at(report, m.start()), f"ref {m[1]!r} is no model")
        for m in _REF.finditer(report.text)
        if m[1] not in models
    ]
    problems += [
        Problem(_at(report, m.start()), f"${m[1]} is no parameter of the header")
        for m in _VALUE.finditer(report.text)
        if m[1] not in declared
    ]
    used = set(_VALUE.findall(report.text))
    unused = [p.name for p in report.parameters if p.name not in used]
    where = f"{report.path}:{report.line('parameters')}"
    return problems + [Problem(where, f"parameter {name!r} is not used") for name in unused]


def _loose(report: Report) -> list[Problem]:
    """Ways to a table that go around the walls."""
    text = _VALUE.sub("null", _REF.sub(lambda m: f'"ref {m[1]}"', report.text))
    with duckdb.connect() as con:
        row = con.execute(f"select json_serialize_sql({quoted(text)})").fetchone()
    tree = json.loads(row[0]) if row else {"error": True}
    if tree["error"]:
        line = text.count("\n", 0, int(tree.get("position") or 0)) + 1
        what = tree.get("error_message") or "is no single SELECT"
        return [Problem(f"{report.path}:{line}", str(what))]
    nodes = list(reach.nodes(tree))
    named = {str(pair["key"]).lower() for node in nodes for pair in reach.withs(node)}
    return [
        Problem(_at(report, _offset(node)), what)
        for node in nodes
        if (what := _outside(node, named)) is not None
    ]


def _outside(node: Mapping[str, object], named: set[str]) -> str | None:
    if node.get("type") == "BASE_TABLE":
        parts = [str(node[k]) for k in ("catalog_name", "schema_name", "table_name") if node[k]]
        name = parts[-1]
        if len(parts) == 1 and (name.startswith("ref ") or name.lower() in named):
            return None
        return f"{'.'.join(parts)}: write ref('…'), so that one creator's rows are read"
    if node.get("type") == "TABLE_FUNCTION":
        function = node.get("function")
        name = str(function.get("function_name", "")) if isinstance(function, dict) else ""
        return None if name.lower() in reach.MAKERS else f"{name}() is not allowed in a report"
    if node.get("type") == "SHOW_REF":
        return "a report is a SELECT"
    return None


def _offset(node: Mapping[str, object]) -> int:
    place = node.get("query_location")
    return place if isinstance(place, int) and 0 <= place < 1 << 32 else 0


def _contracts(reports: Sequence[Report], models: Mapping[str, Model]) -> list[Problem]:
    """Describe every report over empty tables with the models' declared columns."""
    if not reports:
        return []
    problems: list[Problem] = []
    con = lake.engine()
    try:
        con.execute("attach ':memory:' as lake")
        for name in sorted({ref for report in reports for ref in report.refs}):
            con.execute(f"create schema if not exists lake.{name.split('.')[0]}")
            columns = ", ".join(f'"{c.name}" {c.type}' for c in models[name].columns)
            con.execute(f"create table lake.{name} ({columns})")
        for report in reports:
            problems += _described(con, report)
    finally:
        con.close()
    return problems


def _described(con: duckdb.DuckDBPyConnection, report: Report) -> list[Problem]:
    # Without the strip of `statement`, so that DuckDB's line is the file's line.
    head = "\n" * (len(report.text) - len(report.text.lstrip("\n")))
    text = _VALUE.sub("null", statement(report))
    try:
        rows = con.execute(f"describe {head}{text}").fetchall()
    except duckdb.Error as error:
        match = _LINE.search(str(error))
        return [Problem(f"{report.path}:{match[1] if match else 1}", lake.line(error))]
    return _columns(report, {str(row[0]): str(row[1]) for row in rows})


def _columns(report: Report, got: Mapping[str, str]) -> list[Problem]:
    where = f"{report.path}:{report.line('columns')}"
    want = {column.name: column.format for column in report.columns}
    problems = [
        Problem(where, f"the SELECT has no column {name!r}") for name in want if name not in got
    ]
    problems += [
        Problem(where, f"column {name!r} of the SELECT is not declared")
        for name in got
        if name not in want
    ]
    for name, style in want.items():
        taken = _TAKEN.get(style, _NUMBERS)
        if style != "hidden" and name in got and not got[name].startswith(taken):
            problems.append(Problem(where, f"{name!r} is {got[name]}: {style} needs {taken[0]}"))
    return problems


def _at(report: Report, offset: int) -> str:
    return f"{report.path}:{report.text.count(chr(10), 0, offset) + 1}"


def bound(parameter: Parameter, text: str) -> Value:
    """Read a value as a person wrote it.

    Raises:
        ValueError: it is none of this kind; says what would be right.
    """
    readers = {
        "text": str, "date": date.fromisoformat, "instant": _instant, "integer": int,
        "number": _number, "flag": _flag,
    }  # fmt: skip
    hints = {"date": "2026-03-31", "instant": "2026-03-31T12:00Z", "flag": "true or false"}
    try:
        return readers[parameter.kind](text)
    except ValueError:
        hint = hints.get(parameter.kind, f"a {parameter.kind}")
        raise ValueError(f"{text!r} is no {parameter.kind}; write {hint}") from None


def _instant(text: str) -> datetime:
    found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if found.tzinfo is None:
        raise ValueError(text)
    return found


def _number(text: str) -> float:
    value = float(text)
    if value != value or abs(value) == float("inf"):
        raise ValueError(text)
    return value


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"

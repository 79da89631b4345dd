"""Questions of people to the lake: one SELECT over its tables, and its answer as text.

The operational database, with its keys and messages, and the machine's files are out of reach: the
connection gives both up before it runs anything. What a query may name is in `reach`.
"""

import csv
import io
import json
import re
from dataclasses import dataclass
from typing import Any

import duckdb
from duckdb import DuckDBPyConnection

from huntaze_pipeline.errors import WarehouseError
from huntaze_pipeline.sql import quoted
from huntaze_pipeline.warehouse import reach

_CATALOG = "__ducklake_metadata_lake"
_SHOW = re.compile(r"^\s*show\s+(all\s+)?tables\s*;?\s*$", re.IGNORECASE)
_TABLES = """
    select table_schema as "schema", table_name as "table", count(*) as columns
    from information_schema.columns
    where table_catalog = 'lake' and not starts_with(table_name, 'ready')
    group by all order by all
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """Column names and rows."""

    names: list[str]
    rows: list[tuple[Any, ...]]


def ask(con: DuckDBPyConnection, query: str) -> Answer:
    """Run one SELECT; `marts.fan_facts` and `lake.marts.fan_facts` are the same table.

    DESCRIBE, SUMMARIZE, EXPLAIN and SHOW TABLES are questions too. The connection is closed off
    for good: afterwards it reaches the lake's own tables and files, and nothing else.

    Raises:
        WarehouseError: it is no single SELECT over the lake, or DuckDB refuses it; says where.
    """
    try:
        close(con)
        if _SHOW.match(query):
            return _answer(con.execute(_TABLES))
        statements = con.extract_statements(query)
        if len(statements) != 1 or statements[0].type not in _READING:
            raise WarehouseError("write one SELECT; the lake is read-only here")
        reach.check(con, query)
        return _answer(con.execute(statements[0]))
    except duckdb.Error as error:
        raise WarehouseError(f"the query was refused: {str(error).strip()}") from None


_READING = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)


def _answer(relation: DuckDBPyConnection) -> Answer:
    names = [str(column[0]) for column in relation.description or ()]
    return Answer(names, relation.fetchall())


def close(con: DuckDBPyConnection) -> None:
    """Let go of `ops`, of files outside the lake, and of the means to take them back."""
    con.execute("use lake")
    if con.execute("select current_setting('lock_configuration')").fetchone() == (True,):
        return
    con.execute("detach database if exists ops")
    row = con.execute(
        f"select value from {_CATALOG}.lake.ducklake_metadata where key = 'data_path'"
    ).fetchone()
    folder = quoted(str(row[0]) if row else "")
    con.execute(f"set allowed_directories = [{folder}]")
    con.execute("set enable_external_access = false")
    con.execute("set python_enable_replacements = false")
    con.execute("set lock_configuration = true")


def rendered(answer: Answer, style: str) -> str:
    """Return an answer as `table`, `csv` or `json` text."""
    if style == "json":
        rows = [dict(zip(answer.names, row, strict=True)) for row in answer.rows]
        return json.dumps(rows, default=str, indent=1)
    if style == "csv":
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(answer.names)
        writer.writerows(answer.rows)
        return stream.getvalue().rstrip("\n")
    return _table(answer)


def _table(answer: Answer) -> str:
    cells = [answer.names, *([_shown(value) for value in row] for row in answer.rows)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(answer.names))]
    lines = [
        "  ".join(text.ljust(widths[n]) for n, text in enumerate(row)).rstrip() for row in cells
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*lines, f"({len(answer.rows)} rows)"])


def _shown(value: Any) -> str:
    return "" if value is None else str(value)

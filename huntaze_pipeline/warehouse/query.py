"""Questions of people to the lake: one SELECT, nothing else, and its answer as text."""

import csv
import io
import json
from dataclasses import dataclass
from typing import Any

import duckdb
from duckdb import DuckDBPyConnection

from huntaze_pipeline.errors import WarehouseError


@dataclass(frozen=True, slots=True)
class Answer:
    """Column names and rows."""

    names: list[str]
    rows: list[tuple[Any, ...]]


def ask(con: DuckDBPyConnection, query: str) -> Answer:
    """Run one SELECT; `marts.fan_facts` and `lake.marts.fan_facts` are the same table.

    Raises:
        WarehouseError: it is no single SELECT, or DuckDB refuses it; says where.
    """
    try:
        con.execute("use lake")
        statements = con.extract_statements(query)
        if len(statements) != 1 or statements[0].type not in _READING:
            raise WarehouseError("write one SELECT; the lake is read-only here")
        relation = con.execute(statements[0])
        names = [str(column[0]) for column in relation.description or ()]
        return Answer(names, relation.fetchall())
    except duckdb.Error as error:
        raise WarehouseError(f"the query was refused: {str(error).strip()}") from None


_READING = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)


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

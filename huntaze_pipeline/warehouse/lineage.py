"""Which columns a model's columns are made of, read from its SQL.

Nothing is run: the contracts of the tables that a model reads are enough. A column that only counts
rows, or says a constant, is made of no column.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import sqlglot
from sqlglot import exp

from huntaze_pipeline.errors import ModelError, Problem
from huntaze_pipeline.warehouse import raw
from huntaze_pipeline.warehouse.models import Model, Project


class Origin(NamedTuple):
    """A column of another table."""

    table: str
    """schema.name"""
    column: str


Shapes = Mapping[str, Mapping[str, Mapping[str, Mapping[str, str]]]]
"""Catalog, schema, table, column: type."""


def shapes(project: Project) -> Shapes:
    """Return the columns of every table that a model may read."""
    found: dict[str, dict[str, Mapping[str, str]]] = {"raw": dict(raw.TABLES)}
    for model in project.models:
        layer, name = model.name.split(".")
        found.setdefault(layer, {})[name] = {c.name: c.type for c in model.columns}
    return {"lake": found}


def columns(model: Model, tables: Shapes) -> dict[str, tuple[Origin, ...]]:
    """Return, for every column of a model, the columns of other tables that it is made of.

    Raises:
        ModelError: the SQL cannot be followed; DuckDB may run it all the same.
    """
    # Imported here: the optimizer costs 0.1 s, and only a build asks for it.
    from sqlglot import lineage
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope

    try:
        schema = _schema(tables)
        query = qualify(
            sqlglot.parse_one(model.sql, read="duckdb"), schema=schema, dialect="duckdb",
            identify=False,
        )  # fmt: skip
        scope = build_scope(query)
        return {
            column.name: _origins(
                lineage.lineage(
                    column.name, query, schema, dialect="duckdb", scope=scope, trim_selects=False
                )
            )
            for column in model.columns
        }
    except Exception as error:  # whatever the parser trips over, the table itself is fine
        raise ModelError([Problem(str(model.path), f"no lineage: {_first(error)}")]) from None


def roots(project: Project, origin: Origin, tables: Shapes) -> tuple[Origin, ...]:
    """Follow a column through all models down to the raw columns it is made of.

    Raises:
        ModelError: some model's SQL cannot be followed, or it has no such column.
    """
    if origin.table.startswith("raw."):
        return (origin,)
    found = columns(project.model(origin.table), tables)
    if origin.column not in found:
        has = ", ".join(found)
        raise ModelError([Problem(origin.table, f"has no column {origin.column!r}; it has {has}")])
    below = {root for part in found[origin.column] for root in roots(project, part, tables)}
    return tuple(sorted(below))


def _schema(tables: Shapes) -> dict[str, object]:
    """Give sqlglot a copy of its own."""
    return {
        catalog: {layer: {name: dict(c) for name, c in t.items()} for layer, t in layers.items()}
        for catalog, layers in tables.items()
    }


def _origins(node: Any) -> tuple[Origin, ...]:
    """Collect the ends of a column's tree that are columns of tables."""
    found = {
        Origin(f"{end.expression.db}.{end.expression.name}", end.name.rpartition(".")[2].strip('"'))
        for end in node.walk()
        if not end.downstream and isinstance(end.expression, exp.Table)
    }
    return tuple(sorted(found))


def _first(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__

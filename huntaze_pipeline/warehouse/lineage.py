"""Which columns a model's columns are made of, read from its SQL.

Nothing is run: the contracts of the tables that a model reads are enough. A column that only counts
rows, or says a constant, is made of no column.
"""

from collections.abc import Iterable, Mapping
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
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope

    try:
        query = qualify(
            sqlglot.parse_one(model.sql, read="duckdb"), schema=_schema(tables), dialect="duckdb",
            identify=False,
        )  # fmt: skip
        trace = _Trace()
        scope = build_scope(query)
        return {c.name: tuple(sorted(trace.origins(scope, c.name))) for c in model.columns}
    except Exception as error:  # whatever the parser trips over, the table itself is fine
        raise ModelError([Problem(str(model.path), f"no lineage: {_first(error)}")]) from None


class _Trace:
    """Follows columns through the scopes of one query, each (scope, column) once.

    sqlglot's own `lineage` builds a tree for every column and walks shared parts again and again:
    six seconds for our models instead of half a second.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], frozenset[Origin]] = {}

    def origins(self, scope: Any, name: str) -> frozenset[Origin]:
        """Return what one column of a scope is made of."""
        if not isinstance(scope.expression, exp.Query):
            return self._columns(scope.parent, scope.expression.find_all(exp.Column))
        # A bare literal is named by its text: it may only be meant when nothing else has the name.
        parts = sorted(
            enumerate(scope.expression.selects), key=lambda p: isinstance(p[1], exp.Literal)
        )
        place = next((n for n, part in parts if part.alias_or_name == name), None)
        if place is None:
            raise ValueError(f"no column {name}")
        return self._at(scope, place)

    def _at(self, scope: Any, place: int) -> frozenset[Origin]:
        key = (id(scope), place)
        if key not in self._known:
            self._known[key] = frozenset()  # a recursive query asks for itself
            if isinstance(scope.expression, exp.SetOperation):
                found = [self._at(side, place) for side in scope.set_operation_scopes]
                self._known[key] = frozenset().union(*found)
            else:
                self._known[key] = self._part(scope, scope.expression.selects[place])
        return self._known[key]

    def _part(self, scope: Any, part: Any) -> frozenset[Origin]:
        own = {id(column) for column in scope.columns}
        found = self._columns(scope, (c for c in part.find_all(exp.Column) if id(c) in own))
        for inner in scope.subquery_scopes:
            if _inside(inner.expression, part):
                for name in inner.expression.named_selects:
                    found |= self.origins(inner, name)
        return found

    def _columns(self, scope: Any, columns: Iterable[exp.Column]) -> frozenset[Origin]:
        found: frozenset[Origin] = frozenset()
        for column in columns:
            source = scope.sources.get(column.table) if scope is not None else None
            if isinstance(source, exp.Table):
                found |= {Origin(f"{source.db}.{source.name}", column.name)}
            elif source is not None:
                found |= self.origins(source, column.name)
        return found


def _inside(node: Any, part: Any) -> bool:
    while node is not None and node is not part:
        node = node.parent
    return node is part


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


def _first(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__

"""What a person's query may name: tables of the lake, and functions that make rows of nothing.

DuckDB parses the query itself and hands its tree over, so that what is looked at is what runs. Not
here: running it (`query`).
"""

import json
import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from duckdb import DuckDBPyConnection

from huntaze_pipeline.errors import WarehouseError

MAKERS = frozenset({"range", "generate_series", "unnest", "json_each", "json_tree"})
"""Table functions that read nothing."""
_EXPLAIN = re.compile(r"^\s*explain\s+(analyze\s+)?", re.IGNORECASE)


def check(con: DuckDBPyConnection, query: str) -> None:
    """Look through a query before it runs.

    Raises:
        WarehouseError: it names something else than the lake's tables.
    """
    text = _EXPLAIN.sub("", query)
    row = con.execute("select json_serialize_sql(cast(? as varchar))", [text]).fetchone()
    tree = json.loads(row[0]) if row else {"error": True}
    if tree["error"]:
        raise WarehouseError("write one SELECT over tables of the lake; `show tables` lists them")
    found = list(nodes(tree))
    named = {str(pair["key"]).lower() for node in found for pair in withs(node)}
    tables = _tables(con)
    for node in found:
        _shown(node)
        _function(node)
        if node.get("type") == "BASE_TABLE":
            _table(node, named, tables)


def nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield every node of a serialized query."""
    if isinstance(tree, dict):
        yield tree
        for part in tree.values():
            yield from nodes(part)
    elif isinstance(tree, list):
        for part in tree:
            yield from nodes(part)


def withs(node: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the common table expressions that a node declares."""
    found = node.get("cte_map")
    return list(found["map"]) if isinstance(found, dict) else []


def _tables(con: DuckDBPyConnection) -> set[tuple[str, str]]:
    rows = con.execute(
        "select lower(table_schema), lower(table_name) from information_schema.tables"
        " where table_catalog = 'lake'"
    )
    return {(str(schema), str(name)) for schema, name in rows.fetchall()}


def _shown(node: dict[str, Any]) -> None:
    """SHOW of anything but a table tells of what is attached, not of the lake."""
    if node.get("type") == "SHOW_REF" and node.get("query") is None:
        raise WarehouseError("only `show tables` and `describe marts.…` can be asked for here")


def _function(node: dict[str, Any]) -> None:
    if node.get("type") != "TABLE_FUNCTION":
        return
    name = str(node["function"].get("function_name", "")).lower()
    if name not in MAKERS:
        raise WarehouseError(
            f"{name}() is not allowed here: only tables of the lake can be read, not files or"
            " other databases"
        )


def _table(node: dict[str, Any], named: set[str], tables: set[tuple[str, str]]) -> None:
    catalog, schema, name = (
        str(node[part]) for part in ("catalog_name", "schema_name", "table_name")
    )
    plain = not catalog and not schema
    if plain and name.lower() in named:
        return
    if catalog.lower() in ("", "lake") and (schema.lower() or "main", name.lower()) in tables:
        return
    whole = ".".join(part for part in (catalog, schema, name) if part)
    known = {t: f"{s}.{t}" for s, t in sorted(tables)}
    near = get_close_matches(name.lower(), known, n=1)
    hint = f"did you mean {known[near[0]]}?" if near else "`show tables` lists them"
    raise WarehouseError(f"{whole!r} is no table of the lake; {hint}")

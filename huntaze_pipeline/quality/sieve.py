"""A suite compiled to one pass of DuckDB over a batch: every row is looked at, at little cost.

`broken` finds the rows to hold back, `measure` counts for each expectation as the library would.
That both say what Great Expectations says is held by a property test; `judge` is the library.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from duckdb import DuckDBPyConnection

from huntaze_pipeline.errors import ModelError, Problem
from huntaze_pipeline.quality import results
from huntaze_pipeline.quality.results import Result
from huntaze_pipeline.quality.suite import Expectation, Suite
from huntaze_pipeline.quality.vocabulary import literal
from huntaze_pipeline.sql import identifier

BROKEN = "_broken"


@dataclass(frozen=True, slots=True)
class Holding:
    """How many rows break each expectation, and how many any."""

    rows: int
    by: dict[str, int]
    """`Expectation.name`: rows."""


def prepared(con: DuckDBPyConnection, relation: str, suite: Suite) -> str:
    """Return SQL for the batch with its derived columns.

    Raises:
        ModelError: the batch lacks columns, or a derived one cannot be computed.
    """
    has = {str(row[0]) for row in con.execute(f"describe select * from {relation}").fetchall()}
    lacking = [name for name in suite.columns if name not in has]
    if lacking:
        raise ModelError([Problem(str(suite.path), f"no column {name} in it") for name in lacking])
    derived = "".join(f", {sql} as {identifier(name)}" for name, sql in suite.derive.items())
    return f"(select *{derived} from {relation})"


def broken(con: DuckDBPyConnection, relation: str, suite: Suite, key: str) -> Holding:
    """Fill `_broken` (key, field, reason) with the rows that break what holds rows back.

    Args:
        con: where the relation is.
        relation: a table, or a SELECT in brackets.
        suite: a suite whose formulas are computed.
        key: the relation's column that names a row.
    """
    asked = [e for e in suite.expectations if e.sieves]
    batch = prepared(con, relation, suite)
    windows, tests = _tests(con, batch, asked)
    faults = [
        f"case when {test} then {{'n': {n}, 'field': {literal(', '.join(e.columns))},"
        f" 'reason': {_reason(e)}}} end"
        for n, (e, test) in enumerate(zip(asked, tests, strict=True))
        if test != "false"
    ]
    con.execute(f"create or replace temp table {BROKEN} (key bigint, field varchar,"
                " reason varchar, broken integer[])")  # fmt: skip
    if not faults:
        return Holding(0, {})
    any_of = " or ".join(test for test in tests if test != "false")
    con.execute(
        f"insert into {BROKEN} select key,"
        " array_to_string(list_distinct(list_transform(f, x -> x.field)), ', '),"
        " array_to_string(list_transform(f, x -> x.reason), '; '), list_transform(f, x -> x.n)"
        f" from (select {key} as key, list_filter([{', '.join(faults)}], x -> x is not null) as f"
        f" from (select *{windows} from {batch}) where {any_of})"
    )
    counts = con.execute(
        f"select n, count(*) from (select unnest(broken) as n from {BROKEN}) group by n"
    ).fetchall()
    (total,) = con.execute(f"select count(*) from {BROKEN}").fetchone() or (0,)
    return Holding(int(total), {asked[n].name: int(count) for n, count in sorted(counts)})


def measure(con: DuckDBPyConnection, relation: str, suite: Suite) -> list[Result]:
    """Count, for every expectation that can be compiled, how many rows break it."""
    asked = [e for e in suite.expectations if e.word is not None]
    batch = prepared(con, relation, suite)
    if not asked:
        return []
    windows, tests = _tests(con, batch, asked)
    parts = [f"{part}" for e, test in zip(asked, tests, strict=True) for part in _counts(e, test)]
    row = con.execute(f"select {', '.join(parts)} from (select *{windows} from {batch})").fetchone()
    counted: list[Any] = list(row or ())
    return [
        _result(e, *counted[4 * n : 4 * n + 4])  # four figures an expectation
        for n, e in enumerate(asked)
    ]


def _tests(
    con: DuckDBPyConnection, batch: str, asked: Sequence[Expectation]
) -> tuple[str, list[str]]:
    """Return the window columns that groups need, and for each expectation the SQL of a break.

    A window sorts the batch; so groups are first counted, and mostly nothing is there twice.
    """
    windows, tests = "", []
    for n, e in enumerate(asked):
        word = e.word
        if word is None or word.level == "batch":
            tests.append("false")
        elif word.level == "groups":
            together = ", ".join(identifier(name) for name in e.columns)
            there = _and(e.where and identifier(e.where), _present(e))
            if not _repeats(con, batch, together, there):
                tests.append("false")
                continue
            windows += f", count(*) filter ({there}) over (partition by {together}) as _times{n}"
            tests.append(f"({there} and _times{n} > 1)")
        else:
            sql = f"coalesce({word.broken(e.arguments)}, false)"
            tests.append(f"({_and(e.where and identifier(e.where), sql)})")
    return windows, tests


def _repeats(con: DuckDBPyConnection, batch: str, together: str, there: str) -> bool:
    return con.execute(
        f"select 1 from {batch} where {there} group by {together} having count(*) > 1 limit 1"
    ).fetchone() is not None  # fmt: skip


def _present(e: Expectation) -> str:
    """SQL for a row that a group is asked of: one with a value in any of the columns."""
    return f"({' or '.join(f'{identifier(name)} is not null' for name in e.columns)})"


def _and(*conditions: str | None) -> str:
    return " and ".join(f"coalesce({c}, false)" for c in conditions if c)


def _counts(e: Expectation, test: str) -> tuple[str, str, str, str]:
    """Return SQL for: rows looked at, rows asked, rows that break it, examples."""
    level = e.word.level if e.word else "batch"
    looked = _and(e.where and identifier(e.where), "true")
    asked = looked if level in ("nulls", "batch") else _and(looked, _present(e))
    value = identifier(e.columns[0]) if e.columns else "null"
    if len(e.columns) > 1:
        value = "concat_ws(', ', " + ", ".join(map(identifier, e.columns)) + ")"
    return (
        f"count(*) filter ({looked})",
        f"count(*) filter ({asked})",
        f"count(*) filter ({test})",
        f"min(distinct cast({value} as varchar), {results.EXAMPLES}) filter ({test})",
    )


def _result(e: Expectation, looked: int, asked: int, bad: int, shown: list[Any] | None) -> Result:
    if e.word and e.word.level == "batch":
        low, high = e.arguments.get("min_value"), e.arguments.get("max_value")
        fits = (low is None or looked >= low) and (high is None or looked <= high)
        return results.of(e, success=fits, rows=looked, unexpected=0)
    # The library's own arithmetic: no `1 - share`, whose rounding could differ.
    success = asked == 0 or (float(asked) - float(bad)) / float(asked) >= e.mostly
    return results.of(e, success=success, rows=looked, unexpected=bad, examples=shown or ())


def _reason(e: Expectation) -> str:
    """SQL for the sentence that is kept with a row: the value, what it breaks, and why."""
    values = ", ' and ', ".join(
        f"{literal(name + ' ')}, coalesce('''' ||"
        f" substr(cast({identifier(name)} as varchar), 1, 80) || '''', 'null')"
        for name in e.columns
    )
    given = {k: v for k, v in e.arguments.items() if k not in ("column", "column_list")}
    limits = ", ".join(f"{k} {v}" for k, v in given.items() if not isinstance(v, list))
    told = f" breaks {e.type}" + (f" ({limits[:200]})" if limits else "")
    told += f": {e.meaning}" if e.meaning else ""
    return f"concat({values}, {literal(told)})"

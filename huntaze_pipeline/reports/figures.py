"""Running a report: from its file and some values to the rows of one creator. Nothing is drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from typing import Any

import duckdb
from duckdb import DuckDBPyConnection

from huntaze_pipeline.errors import NotFoundError, Problem, Problems, WarehouseError
from huntaze_pipeline.sql import quoted
from huntaze_pipeline.warehouse import walls
from huntaze_pipeline.warehouse.reports import Column, Kind, Report
from huntaze_pipeline.warehouse.walls import Value

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Tenant:
    """Whose numbers they are, and as of when."""

    id: str
    name: str
    currency: str
    zone: str
    as_of: datetime | None
    """The clock of the build that settled them; None before the first build."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows and how to write them."""

    columns: tuple[Column, ...]
    rows: list[Row]
    currency: str = "USD"

    def in_one_currency(self) -> tuple["Table", str]:
        """Return the rows in the creator's currency (else the first one's), and which others stay.

        Amounts in different currencies cannot stand on one axis, nor on top of each other.
        """
        found = dict.fromkeys(str(row.get("currency") or self.currency) for row in self.rows)
        if len(found) < 2:
            return self, ""
        chosen = self.currency if self.currency in found else next(iter(found))
        rows = [row for row in self.rows if (row.get("currency") or self.currency) == chosen]
        others = ", ".join(sorted(found.keys() - {chosen}))
        return Table(self.columns, rows, chosen), f"Only {chosen} is drawn; {others}: see the rows."

    def column(self, name: str) -> Column:
        """Return a column by its name; one that is not declared is plain text."""
        return next((c for c in self.columns if c.name == name), Column(name, "text", name))

    @property
    def shown(self) -> tuple[Column, ...]:
        """The columns that a reader sees; words and amounts that no row has are left out."""
        return tuple(c for c in self.columns if c.format != "hidden" and not self._mute(c))

    def _mute(self, column: Column) -> bool:
        found = [row.get(column.name) for row in self.rows]
        if column.format == "money":
            return bool(found) and all(amount is None for amount in found)
        return column.format == "text" and not any(found)


@dataclass(frozen=True, slots=True)
class Answer:
    """A report that has been run."""

    report: Report
    tenant: Tenant
    values: Mapping[str, Value] = field(default_factory=dict)
    table: Table = field(default_factory=lambda: Table((), []))


def tenant(con: DuckDBPyConnection, creator: str | None) -> Tenant:
    """Return the creator asked for; without a name the only one there is.

    Raises:
        NotFoundError: there is no such creator, or several and none was named.
        WarehouseError: the lake was never built.
    """
    where = "" if creator is None else f" where id = {quoted(creator)}"
    rows = con.execute(
        "select id, coalesce(name, id), coalesce(currency, 'USD'), coalesce(zone, 'UTC'),"
        " (select max(as_of) from lake.raw.clock), (select count(*) from lake.raw.creators)"
        f" from lake.raw.creators{where} order by id limit 2"
    ).fetchall()
    if len(rows) == 1:
        return Tenant(*rows[0][:5])
    if rows:
        raise NotFoundError("there are several creators: name one with --creator")
    count = con.execute("select count(*) from lake.raw.creators").fetchone()
    if count == (0,):
        raise WarehouseError("the lake holds no numbers yet: run `huntaze models build`")
    raise NotFoundError(f"no creator {creator!r} in the lake")


def busiest(con: DuckDBPyConnection) -> str | None:
    """Return the creator with the most events in the lake, for pictures that show one."""
    row = con.execute(
        "select c.id from lake.raw.creators c left join (select creator_id, count(*) as n"
        " from lake.raw.events group by all) e on e.creator_id = c.id order by n desc nulls last,"
        " c.id limit 1"
    ).fetchone()
    return str(row[0]) if row else None


def near(con: DuckDBPyConnection, whose: Tenant, table: str, column: str, given: str) -> str:
    """Ask whether the creator's thing with the most similar id was meant; empty without one."""
    try:
        found = con.execute(
            f"select distinct {column} from lake.{table} where creator_id = {quoted(whose.id)}"
        ).fetchall()
    except duckdb.CatalogException:  # nothing was built yet
        return ""
    close = get_close_matches(given, [str(name) for (name,) in found], n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def values(report: Report, given: Mapping[str, str]) -> dict[str, Value]:
    """Read the values that a person gave as text; defaults and nulls fill the rest.

    Raises:
        Problems: values that are unknown, missing or of another kind; all of them.
    """
    problems, found = [], {}
    known = {p.name: p for p in report.parameters}
    for name in given:
        if name not in known:
            there = ", ".join(known) or "none"
            problems.append(Problem(f"--param {name}", f"{report.name} takes {there}"))
    for name, parameter in known.items():
        text = given.get(name, parameter.default)
        if text is None and parameter.required:
            problems.append(Problem(f"--param {name}", f"is needed: {parameter.meaning}"))
            continue
        try:
            found[name] = None if text is None else walls.bound(parameter, text)
        except ValueError as error:
            problems.append(Problem(f"--param {name}", str(error)))
    if problems:
        raise Problems(problems)
    return found


def run(
    con: DuckDBPyConnection, report: Report, whose: Tenant, given: Mapping[str, Value]
) -> Answer:
    """Run a report for one creator; its values are bound, its models hold that creator's rows.

    Raises:
        WarehouseError: a table of it is not built, or DuckDB refuses it; says which.
    """
    kinds: dict[str, Kind] = {p.name: p.kind for p in report.parameters}
    bound = {walls.CREATOR: quoted(whose.id)} | {
        name: walls.literal(value, kinds[name]) for name, value in given.items()
    }
    taken = walls.taken(report)
    used = [f'"{name}" := {text}' for name, text in bound.items() if name in taken]
    try:
        # PREPARE and EXECUTE instead of the driver's parameters: those import pandas, a second.
        con.execute(f"prepare report as {walls.statement(report)}")
        relation = con.execute(f"execute report({', '.join(used)})")
        names = [str(column[0]) for column in relation.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in relation.fetchall()]
        con.execute("deallocate report")
    except duckdb.CatalogException as error:
        raise WarehouseError(
            f"{report.name}: {_first(error)} (run `huntaze models build`)"
        ) from None
    except duckdb.Error as error:
        raise WarehouseError(f"{report.name} could not be run: {_first(error)}") from None
    return Answer(report, whose, given, Table(report.columns, rows, whose.currency))


def _first(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def total(rows: Sequence[Row], name: str) -> float:
    """Add up a column; what is unknown adds nothing."""
    return sum(float(row[name]) for row in rows if row[name] is not None)

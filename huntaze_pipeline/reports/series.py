"""What a chart shows of a table: its categories in order, and a value of each in every series.

Nothing is drawn here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from huntaze_pipeline.reports import canvas, writing
from huntaze_pipeline.reports.figures import Row, Table
from huntaze_pipeline.warehouse.reports import Chart, Column

MOST = len(canvas.SERIES)
"""Series that can be told apart."""
TIMES = frozenset({"date", "month", "instant"})
ROWWISE = frozenset({"bars", "funnel"})
"""Kinds in which every row has a bar of its own, whatever its name."""
Values = dict[Any, float | None]
Keyed = list[tuple[Any, Row]]
_FULL: dict[str, list[Any]] = {"hour": list(range(24)), "weekday": list(range(1, 8))}


@dataclass(frozen=True, slots=True)
class Series:
    """One line, or one bar of each group."""

    name: str
    colour: str
    values: Values
    """By category."""


@dataclass(frozen=True, slots=True)
class Plot:
    """Categories, series and how to write both."""

    x: Column
    y: Column
    categories: list[Any]
    labels: dict[Any, str]
    series: list[Series]
    money_in: str
    left_out: str = ""
    """What did not fit, as a sentence; empty when everything is there."""

    @property
    def values(self) -> list[float]:
        """Every value that is known."""
        return [v for s in self.series for v in s.values.values() if v is not None]

    def label(self, category: Any) -> str:
        """Write a category."""
        return self.labels.get(category) or writing.value(self.x, category)

    def written(self, value: float | None) -> str:
        """Write a value (money in units)."""
        if value is None:
            return writing.NOTHING
        if self.y.format == "money":
            return writing.money(value, self.money_in)
        return writing.value(self.y, value)

    def short(self, value: float) -> str:
        """Write a value of an axis."""
        return writing.compact(value, self.y.format, self.money_in)


def plot(chart: Chart, table: Table) -> Plot:
    """Put a table's rows in the order and series of a chart."""
    x, y = table.column(chart.x), table.column(chart.y[0])
    apart = chart.kind in ROWWISE and not chart.stacked
    keyed = list(enumerate(table.rows) if apart else ((r[chart.x], r) for r in table.rows))
    found = _split(chart, table, keyed) if chart.colour else _wide(chart, table, keyed)
    if chart.stacked and any(map(_size, found.values())):
        found = {name: values for name, values in found.items() if _size(values)}
    names = sorted(found, key=lambda n: -_size(found[n])) if len(found) > MOST else list(found)
    kept = [name for name in found if name in names[:MOST]]
    colours = dict(zip(kept, canvas.SERIES, strict=False))
    series = [Series(name, colours[name], found[name]) for name in kept]
    order = [key for key, _ in keyed] if apart else ordered(x, table.rows)
    labels = {key: writing.value(x, row[chart.x]) for key, row in keyed}
    left_out = "" if len(kept) == len(found) else f"The largest {MOST} of {len(found)} are drawn."
    return Plot(x, y, order, labels, series, _money_in(table), left_out)


def amount(column: Column, value: Any) -> float | None:
    """Return a value as a number to draw: money in units."""
    if value is None:
        return None
    return float(value) / writing.MICROS if column.format == "money" else float(value)


def distinct(rows: Iterable[Row], name: str) -> list[Any]:
    """Return the values of a column in the order in which they come."""
    return list(dict.fromkeys(row[name] for row in rows))


def _wide(chart: Chart, table: Table, keyed: Keyed) -> dict[str, Values]:
    """One series a column."""
    columns = [table.column(name) for name in chart.y]
    return {c.label: {key: amount(c, row[c.name]) for key, row in keyed} for c in columns}


def _split(chart: Chart, table: Table, keyed: Keyed) -> dict[str, Values]:
    """One series a value of the colour's column."""
    column, colour = table.column(chart.y[0]), table.column(chart.colour or "")
    series: dict[str, Values] = {}
    for key, row in keyed:
        name = writing.value(colour, row[colour.name])
        series.setdefault(name, {})[key] = amount(column, row[column.name])
    return series


def ordered(x: Column, rows: list[Row]) -> list[Any]:
    """Return the categories of a column in the order in which people expect them."""
    if x.format in _FULL and rows:
        return _FULL[x.format]
    found = distinct(rows, x.name)
    if x.format in TIMES or x.format in ("count", "number"):
        return sorted(value for value in found if value is not None)
    return found


def _size(values: Values) -> float:
    return sum(abs(v) for v in values.values() if v is not None)


def _money_in(table: Table) -> str:
    return writing.currency(table.rows[0], table) if table.rows else table.currency

"""What a page says, before anybody decides how it looks: headline numbers, sections, notes.

`screen` makes HTML of it, `paper` a PDF or a picture. Every page of this package is one of these.
"""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from huntaze_pipeline.reports import figures, writing
from huntaze_pipeline.reports.figures import Answer, Table, Tenant
from huntaze_pipeline.warehouse.reports import TILE, Chart, Column


@dataclass(frozen=True, slots=True)
class Tile:
    """One headline number."""

    label: str
    number: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """One chart and the rows that it shows."""

    chart: Chart
    table: Table


@dataclass(frozen=True, slots=True)
class Badge:
    """A verdict in a few words; `tone` is good, bad or plain."""

    words: str
    tone: str = "plain"


@dataclass(frozen=True, slots=True)
class Section:
    """One card of a page."""

    title: str
    lead: str = ""
    figures: tuple[Figure, ...] = ()
    table: Table | None = None
    badge: Badge | None = None
    words: tuple[str, ...] = ()
    """Sentences under the lead, a paragraph each."""


@dataclass(frozen=True, slots=True)
class Page:
    """A whole page."""

    title: str
    subtitle: str = ""
    """Whose numbers, which period, as of when."""
    lead: str = ""
    tiles: tuple[Tile, ...] = ()
    sections: tuple[Section, ...] = ()
    definitions: tuple[tuple[str, str], ...] = ()
    """What each number is."""
    notes: tuple[str, ...] = ()


def across(tiles: int) -> int:
    """Return how many headline numbers stand beside each other, so that no row has one alone."""
    return {6: 3, 7: 4, 8: 4}.get(tiles, min(tiles, 5))


def of(answer: Answer) -> Page:
    """Return the page of a report: its headline numbers, its charts and its table."""
    header, table = answer.report.header, answer.table
    drawn = tuple(
        Section(chart.title or header.title, figures=(Figure(chart, table),))
        for chart in header.chart
    )
    rows = Section("The numbers", rows_told(table), table=table)
    return Page(
        header.title,
        subtitle(answer.tenant, period(answer)),
        " ".join(header.description.split()),
        tiles(answer),
        (*drawn, rows),
        definitions(answer),
        (settled(answer.tenant),),
    )


def subtitle(tenant: Tenant, *parts: str) -> str:
    """Return whose numbers they are and of when, in one line."""
    as_of = f"as of {writing.instant(tenant.as_of)}" if tenant.as_of else "never settled"
    return " · ".join(part for part in (tenant.name, *parts, as_of) if part)


def settled(tenant: Tenant) -> str:
    """Return what kind of numbers these are, in a sentence."""
    if tenant.as_of is None:
        return "Nothing has been settled yet."
    return (
        f"Settled numbers: everything that had arrived by {writing.instant(tenant.as_of)}. Live"
        " counters, which run ahead of them, are not on this page."
    )


def rows_told(table: Table) -> str:
    """Say how many rows there are, when there are none or many."""
    if not table.rows:
        return "There are no rows for this choice."
    return f"{len(table.rows):,} rows." if len(table.rows) > 12 else ""


def period(answer: Answer) -> str:
    """Return the period that a report covers: its days, or what was asked for."""
    for column in answer.table.columns:
        found = [row[column.name] for row in answer.table.rows if row[column.name] is not None]
        if column.format == "date" and column.name == "day" and found:
            return span(min(found), max(found))
    first, last = answer.values.get("from"), answer.values.get("to")
    if isinstance(first, date) or isinstance(last, date):
        return span(first, last)
    return ""


def span(first: Any, last: Any) -> str:
    """Write a period, open at either end where nothing is known."""
    if first is not None and first == last:
        return writing.day(first)
    start = writing.day(first) if first is not None else "from the beginning"
    return f"{start} – {writing.day(last) if last is not None else 'now'}"


def definitions(answer: Answer) -> tuple[tuple[str, str], ...]:
    """Return what every column and every given value means."""
    columns = [(c.label, c.meaning) for c in answer.table.shown if c.meaning]
    given = [
        (p.name, f"{p.meaning}: {_given(answer.values[p.name])}")
        for p in answer.report.parameters
        if answer.values.get(p.name) is not None
    ]
    return tuple(columns + given)


def _given(value: Any) -> str:
    if isinstance(value, datetime):
        return writing.instant(value)
    return writing.day(value) if isinstance(value, date) else str(value)


def tiles(answer: Answer) -> tuple[Tile, ...]:
    """Return the headline numbers of a report over all its rows."""
    table = answer.table
    if not table.rows:
        return ()
    mixed = len({writing.currency(row, table) for row in table.rows}) > 1
    found = []
    for label, text in answer.report.header.tiles.items():
        column, number = _tile(text, table)
        if mixed and column.format == "money":
            found.append(Tile(label, "–", "in several currencies: see the table"))
            continue
        money_in = writing.currency(table.rows[0], table)
        found.append(Tile(label, writing.value(column, number, money_in)))
    return tuple(found)


def _tile(text: str, table: Table) -> tuple[Column, float | None]:
    """Compute one headline number: a sum, a share of sums or a change."""
    match = TILE.match(text.strip())
    part, whole, less = match.groups() if match else (text, None, None)
    above = figures.total(table.rows, part)
    if whole is None:
        return table.column(part), above
    below = figures.total(table.rows, whole)
    style = Column(text, "change" if less else "percent", text)
    return style, (above / below - (1 if less else 0)) if below else None


@dataclass(slots=True)
class Draft:
    """A page that is being put together."""

    title: str
    subtitle: str = ""
    lead: str = ""
    tiles: list[Tile] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    definitions: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def done(self) -> Page:
        """Return the page."""
        return Page(
            self.title, self.subtitle, self.lead, tuple(self.tiles), tuple(self.sections),
            tuple(self.definitions.items()), tuple(self.notes),
        )  # fmt: skip

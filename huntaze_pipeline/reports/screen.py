"""A page as one HTML file with everything inside: no script, no font, nothing from elsewhere.

Light and dark follow the reader's system; every chart is drawn for three widths, and the page's
style shows the one that fits. What the page says is `page`'s.
"""

from pathlib import Path

import jinja2
from markupsafe import Markup

from huntaze_pipeline.reports import drawing, writing
from huntaze_pipeline.reports.figures import Row, Table
from huntaze_pipeline.reports.page import Figure, Page, across
from huntaze_pipeline.warehouse.reports import Column

WIDTHS = {"wide": 912, "middle": 620, "narrow": 318}
MOST = 500
"""Rows of a table on the page; the file formats have all."""


def html(page: Page) -> str:
    """Return the page as HTML."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "chart": _chart,
        "cell": _cell,
        "side": _side,
        "count": writing.count,
        "across": across,
    }
    return environment.get_template("page.html.j2").render(page=page, most=MOST)


def _chart(figure: Figure) -> Markup:
    """Draw a figure for every width; only one of them is seen."""
    parts, note = [], ""
    for name, width in WIDTHS.items():
        drawn = drawing.draw(figure.chart, figure.table, width)
        note = drawn.note
        label = figure.chart.title or ", ".join(figure.chart.y)
        parts.append(f'<div class="chart {name}">{drawn.svg(label)}</div>')
    if note:
        parts.append(f'<p class="dim small">{Markup.escape(note)}</p>')
    return Markup("".join(parts))


def _cell(column: Column, row: Row, table: Table) -> str:
    return writing.cell(column, row, table)


def _side(column: Column, row: Row | None = None) -> str:
    """Return a cell's classes: figures stand right, losses are red."""
    found = ["figure"] if column.format in writing.FIGURES else ["text"]
    value = row.get(column.name) if row is not None else None
    if column.format in ("change", "money") and isinstance(value, int | float) and value < 0:
        found.append("bad")
    return " ".join(found)

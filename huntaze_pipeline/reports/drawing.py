"""From a chart's header and its rows to a picture of a given width; the kinds are in their modules.

Wide and narrow screens, paper and Dagster get the same picture at their own width, so letters are
never scaled down to nothing.
"""

from collections.abc import Sequence
from dataclasses import replace

from huntaze_pipeline.reports import bars, heat, intervals, lines, writing
from huntaze_pipeline.reports.canvas import Canvas, Drawing
from huntaze_pipeline.reports.figures import Table
from huntaze_pipeline.reports.series import distinct
from huntaze_pipeline.warehouse.reports import Chart

PANELS = 12
_PANEL = 280.0
_GAP = 24.0
_EMPTY = "No data for this choice yet"
_KINDS = {
    "bars": bars.draw, "funnel": bars.funnel, "columns": lines.draw, "line": lines.draw,
    "area": lines.draw, "heatmap": heat.draw, "intervals": intervals.draw,
}  # fmt: skip


def draw(chart: Chart, table: Table, width: float) -> Drawing:
    """Draw a chart of a table; without rows the picture says so."""
    if any(table.column(name).format == "money" for name in chart.y):
        table, others = table.in_one_currency()
        drawn = _draw(chart, table, width)
        return replace(drawn, note=" ".join(filter(None, (drawn.note, others))))
    return _draw(chart, table, width)


def _draw(chart: Chart, table: Table, width: float) -> Drawing:
    value = (chart.colour if chart.kind == "heatmap" else None) or chart.y[0]
    if not any(row.get(value) is not None for row in table.rows):
        return empty(width)
    if chart.multiples and chart.kind != "intervals":
        return _panels(chart, table, width)
    return _KINDS[chart.kind](chart, table, width)


def empty(width: float, words: str = _EMPTY) -> Drawing:
    """Say that there is nothing to draw."""
    pad = Canvas()
    pad.rect(0, 0, width, 72, "rule", opacity=0.45, radius=6)
    pad.text(width / 2, 40, words, size=12, anchor="middle")
    return Drawing(pad.body, width, 72)


def _panels(chart: Chart, table: Table, width: float) -> Drawing:
    """Draw one small chart a value, side by side where there is room."""
    names = distinct(table.rows, chart.multiples or "")
    column = table.column(chart.multiples or "")
    across = max(1, min(int((width + _GAP) // (_PANEL + _GAP)), len(names)))
    each = (width - _GAP * (across - 1)) / across
    pad, top, row_height = Canvas(), 0.0, 0.0
    for number, name in enumerate(names[:PANELS]):
        rows = [row for row in table.rows if row[column.name] == name]
        drawn = _KINDS[chart.kind](chart, Table(table.columns, rows, table.currency), each)
        place = number % across
        if place == 0 and number:
            top, row_height = top + row_height + _GAP, 0.0
        left = place * (each + _GAP)
        pad.text(left, top + 12, writing.value(column, name), size=12, bold=True, colour="ink",
                 room=each)  # fmt: skip
        pad.put(drawn.body, left, top + 22)
        row_height = max(row_height, drawn.height + 22)
    more = f"The first {PANELS} of {len(names)} are drawn." if len(names) > PANELS else ""
    return Drawing(pad.body, width, top + row_height, more)


def stack(figures: Sequence[tuple[Chart, Table]], width: float) -> Drawing:
    """Draw several charts under each other, with their titles, as one picture."""
    pad, y, notes = Canvas(), 0.0, []
    for chart, table in figures:
        if chart.title:
            pad.text(0, y + 13, chart.title, size=13, bold=True, colour="ink", room=width)
            y += 24
        drawn = draw(chart, table, width)
        pad.put(drawn.body, 0, y)
        y += drawn.height + 14
        notes.append(drawn.note)
    return Drawing(pad.body, width, max(y - 14, 0.0), " ".join(filter(None, notes)))

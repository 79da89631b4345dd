"""Heat maps: a cell for each pair of categories, the darker the more."""

from typing import Any

from huntaze_pipeline.reports import canvas, letters, series, writing
from huntaze_pipeline.reports.canvas import Canvas, Drawing
from huntaze_pipeline.reports.figures import Table
from huntaze_pipeline.warehouse.reports import Chart, Column

_MOST = 60
_LIGHT, _FULL = 0.07, 1.0


def draw(chart: Chart, table: Table, width: float) -> Drawing:
    """Draw a grid of cells with their values where there is room for them."""
    return _Heat(chart, table, width).drawing()


class _Heat:
    def __init__(self, chart: Chart, table: Table, width: float) -> None:
        self.x, self.y = table.column(chart.x), table.column(chart.y[0])
        self.value = table.column(chart.colour or "")
        self.width, self.pad, self.money_in = width, Canvas(), table.currency
        self.xs, self.ys = _ordered(self.x, table)[:_MOST], _ordered(self.y, table)[:_MOST]
        self.cells = {
            (row[chart.x], row[chart.y[0]]): series.amount(self.value, row[self.value.name])
            for row in table.rows
        }
        known = [v for v in self.cells.values() if v is not None] or [0.0]
        self.low = min(known) if min(known) < 0 or min(known) > 0.5 * max(known) else 0.0
        self.high = max(known)

    def drawing(self) -> Drawing:
        """Draw everything; return the picture."""
        labels = [writing.value(self.y, value) for value in self.ys]
        left = min(max(letters.width(t, canvas.SMALL) for t in labels) + 8, self.width * 0.3)
        size = (self.width - left) / max(len(self.xs), 1)
        tall = min(max(size, 20.0), 28.0)
        top = self._key() + 8
        for place, (value, label) in enumerate(zip(self.ys, labels, strict=True)):
            y = top + place * tall
            self.pad.text(left - 8, y + tall / 2 + 4, label, anchor="end", room=left - 8)
            self._row(value, left, y, size, tall, label)
        bottom = top + len(self.ys) * tall
        self._across(left, size, bottom)
        self.pad.text((left + self.width) / 2, bottom + 32, self.x.label, anchor="middle")
        return Drawing(self.pad.body, self.width, bottom + 38)

    def _row(
        self, y_value: Any, left: float, y: float, size: float, tall: float, label: str
    ) -> None:
        for place, x_value in enumerate(self.xs):
            found = self.cells.get((x_value, y_value))
            if found is None:
                self.pad.rect(left + place * size, y, size - 1.5, tall - 1.5, "rule", opacity=0.35)
                continue
            depth = self._depth(found)
            words = self._written(found)
            title = f"{label}, {self.x.label} {writing.value(self.x, x_value)}: {words}"
            x = left + place * size
            self.pad.rect(x, y, size - 1.5, tall - 1.5, canvas.BLUE, opacity=depth, title=title)
            if letters.width(words, 10) <= size - 5:
                tone = "#ffffff" if depth > 0.72 else "ink"
                at = left + place * size + (size - 1.5) / 2
                self.pad.text(at, y + tall / 2 + 3, words, size=10, anchor="middle", colour=tone)

    def _depth(self, value: float) -> float:
        if self.high <= self.low:
            return _FULL if value else _LIGHT
        return _LIGHT + (_FULL - _LIGHT) * (value - self.low) / (self.high - self.low)

    def _written(self, value: float) -> str:
        if self.value.format == "money":
            return writing.money(value, self.money_in)
        return writing.value(self.value, value)

    def _short(self, value: float) -> str:
        return writing.compact(float(f"{value:.3g}"), self.value.format, self.money_in)

    def _key(self) -> float:
        """Draw the scale of the colours; return its height."""
        if self.high <= self.low:
            return 0.0
        low, high = self._short(self.low), self._short(self.high)
        x = letters.width(low, canvas.SMALL) + 6
        self.pad.text(0, 11, low)
        for step in range(6):
            depth = _LIGHT + (_FULL - _LIGHT) * step / 5
            self.pad.rect(x + step * 18, 2, 17, 10, canvas.BLUE, opacity=depth)
        self.pad.text(x + 6 * 18 + 6, 11, high)
        return 18.0

    def _across(self, left: float, size: float, bottom: float) -> None:
        free = -1e9
        for place, value in enumerate(self.xs):
            label = writing.value(self.x, value)
            wide = letters.width(label, canvas.SMALL)
            at = left + place * size + size / 2 - wide / 2
            if at < free + 8 or at + wide > self.width:
                continue
            self.pad.text(at, bottom + 15, label)
            free = at + wide


def _ordered(column: Column, table: Table) -> list[Any]:
    return series.ordered(column, table.rows)

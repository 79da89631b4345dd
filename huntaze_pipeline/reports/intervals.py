"""Intervals, as in a forest plot: a whisker and a dot a row, under headings, against a line."""

from huntaze_pipeline.reports import canvas, letters, scales, series, writing
from huntaze_pipeline.reports.canvas import Canvas, Drawing
from huntaze_pipeline.reports.figures import Row, Table
from huntaze_pipeline.reports.scales import Scale
from huntaze_pipeline.warehouse.reports import Chart

_ROW, _HEAD = 26.0, 26.0
_NARROW = 460.0


def draw(chart: Chart, table: Table, width: float) -> Drawing:
    """Draw every row's value between its ends; rows without a value say so."""
    return _Forest(chart, table, width).drawing()


class _Forest:
    def __init__(self, chart: Chart, table: Table, width: float) -> None:
        self.chart, self.table, self.width, self.pad = chart, table, width, Canvas()
        self.value = table.column(chart.y[0])
        self.rows = table.rows[: chart.top]
        self.above = width < _NARROW
        self.names = 0.0 if self.above else self._widest([self._name(r) for r in self.rows], 0.3)
        self.notes = self._widest([self._note(r) for r in self.rows], 0.4)
        self.ticks = self._ticks()
        self.scale = Scale(self.ticks[0], self.ticks[-1], self.names + 8, width - self.notes - 8)

    def _widest(self, texts: list[str], share: float) -> float:
        widest = max((letters.width(text, canvas.SMALL + 1) for text in texts), default=0.0)
        return min(widest, self.width * share) + 6

    def _name(self, row: Row) -> str:
        return writing.value(self.table.column(self.chart.x), row[self.chart.x])

    def _number(self, row: Row, name: str | None) -> float | None:
        return None if name is None else series.amount(self.value, row.get(name))

    def _written(self, value: float | None) -> str:
        if self.value.format == "money":
            return writing.money(value, self.table.currency)
        return writing.value(self.value, value)

    def _note(self, row: Row) -> str:
        value = self._number(row, self.chart.y[0])
        if value is None:
            return "not known yet"
        low, high = (self._number(row, n) for n in (self.chart.low, self.chart.high))
        ends = f"  ({self._written(low)} to {self._written(high)})" if low is not None else ""
        return f"{self._written(value)}{ends}"

    def _ticks(self) -> list[float]:
        names = (self.chart.y[0], self.chart.low, self.chart.high)
        known = [v for r in self.rows for n in names if (v := self._number(r, n)) is not None]
        mark = [self.chart.reference.value] if self.chart.reference else []
        room = max(self.width - self.names - self.notes, 60)
        low, high = min([*known, *mark] or [0.0]), max([*known, *mark] or [1.0])
        return scales.ticks(low, high, max(2, min(6, int(room / 62))))

    def drawing(self) -> Drawing:
        """Draw everything; return the picture."""
        mark = self.chart.reference
        top = 16.0 if mark and mark.label else 2.0
        y, heading = top, None
        inner = Canvas()
        for row in self.rows:
            if self.chart.multiples and row[self.chart.multiples] != heading:
                heading = row[self.chart.multiples]
                words = writing.value(self.table.column(self.chart.multiples), heading)
                inner.text(0, y + 16, words, size=12, bold=True, colour="ink", room=self.width)
                y += _HEAD
            y = self._row(inner, row, y)
        self._axis(top, y)
        self.pad.parts += inner.parts
        return Drawing(self.pad.body, self.width, y + 22, self._left_out())

    def _row(self, pad: Canvas, row: Row, y: float) -> float:
        name = self._name(row)
        if self.above:
            pad.text(0, y + 12, name, size=12, colour="ink", room=self.width)
            y += 14
        else:
            pad.text(self.names, y + _ROW / 2 + 4, name, size=12, anchor="end", colour="ink",
                     room=self.names)  # fmt: skip
        middle = y + _ROW / 2
        value = self._number(row, self.chart.y[0])
        low, high = (self._number(row, n) for n in (self.chart.low, self.chart.high))
        colour = self._colour(row)
        if low is not None and high is not None:
            left, right = self.scale.at(low), self.scale.at(high)
            pad.line(left, middle, right, middle, colour, width=2.4)
            for end in (left, right):
                pad.line(end, middle - 4, end, middle + 4, colour, width=1.6)
        if value is not None:
            pad.dot(self.scale.at(value), middle, 4.6, colour, f"{name}: {self._note(row)}")
        pad.text(self.width, middle + 4, self._note(row), anchor="end", room=self.notes)
        return y + _ROW

    def _colour(self, row: Row) -> str:
        """Green for the rows that a flag marks."""
        return canvas.GREEN if self.chart.colour and row.get(self.chart.colour) else canvas.BLUE

    def _axis(self, top: float, bottom: float) -> None:
        for tick in self.ticks:
            x = self.scale.at(tick)
            self.pad.line(x, top, x, bottom, "rule")
            label = writing.compact(tick, self.value.format, self.table.currency)
            self.pad.text(x, bottom + 15, label, anchor="middle")
        mark = self.chart.reference
        if mark is not None:
            x = self.scale.at(mark.value)
            self.pad.line(x, top - 2, x, bottom, "dim", dash="4 3")
            size = letters.width(mark.label, canvas.SMALL)
            at = min(max(x - size / 2, 0.0), self.width - size)
            self.pad.text(at, top - 6, mark.label)

    def _left_out(self) -> str:
        more = len(self.table.rows)
        return f"The first {len(self.rows)} of {more:,} are drawn." if more > len(self.rows) else ""

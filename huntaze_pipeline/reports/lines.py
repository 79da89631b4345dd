"""Charts over time or steps: lines, areas and columns on common axes."""

from typing import Any

from huntaze_pipeline.reports import canvas, legend, letters, scales, writing
from huntaze_pipeline.reports.canvas import Canvas, Drawing
from huntaze_pipeline.reports.figures import Table
from huntaze_pipeline.reports.scales import Scale
from huntaze_pipeline.reports.series import TIMES, Plot, Series, plot
from huntaze_pipeline.warehouse.reports import Chart

_HEIGHT = 190.0
_DOTS = 40
"""Up to so many points are marked one by one."""
Point = tuple[float, float]


def draw(chart: Chart, table: Table, width: float) -> Drawing:
    """Draw a line, area or columns for every series; a single point in time is a column."""
    found = plot(chart, table)
    if len(found.categories) == 1:
        chart = chart.model_copy(update={"kind": "columns"})
    return _Axes(chart, found, width).drawing()


class _Axes:
    """One drawing: its scales, grid and labels, and the marks between them."""

    def __init__(self, chart: Chart, found: Plot, width: float) -> None:
        self.chart, self.plot, self.width = chart, found, width
        self.pad = Canvas()
        self.top = legend.draw(self.pad, found.series, width) + 8
        self.bottom = self.top + _HEIGHT
        self.ticks = self._ticks()
        self.left = max(letters.width(found.short(t), canvas.SMALL) for t in self.ticks) + 8
        self.y = Scale(self.ticks[0], self.ticks[-1], self.bottom, self.top)
        self.timed = found.x.format in TIMES and chart.kind != "columns"
        self.x = self._across()

    def _ticks(self) -> list[float]:
        values = self._reach()
        mark = [self.chart.reference.value] if self.chart.reference else []
        low, high = min([0.0, *values, *mark]), max([0.0, *values, *mark])
        whole = self.plot.y.format == "count"
        return scales.ticks(low, high or 1.0, 5, whole=whole)

    def _reach(self) -> list[float]:
        if not self.chart.stacked:
            return self.plot.values
        sums = []
        for category in self.plot.categories:
            values = [s.values.get(category) or 0.0 for s in self.plot.series]
            sums += [sum(v for v in values if v > 0), sum(v for v in values if v < 0)]
        return sums

    def _across(self) -> Scale:
        if self.timed or self._measured():
            places = [self._place(c) for c in self.plot.categories]
            return Scale(min(places), max(places), self.left + 4, self.width - 8)
        return Scale(-0.5, len(self.plot.categories) - 0.5, self.left, self.width)

    def _measured(self) -> bool:
        return self.plot.x.format in ("count", "number", "percent") and self.chart.kind != "columns"

    def _place(self, category: Any) -> float:
        if self.timed:
            return scales.moment(category)
        return float(category) if self._measured() else self.plot.categories.index(category)

    def drawing(self) -> Drawing:
        """Draw everything; return the picture."""
        self._grid()
        height = self._labels()
        if self.chart.kind == "columns":
            self._columns()
        elif self.chart.stacked:
            self._stacked()
        else:
            for one in self.plot.series:
                self._line(one)
        self._mark()
        return Drawing(self.pad.body, self.width, height, self.plot.left_out)

    def _grid(self) -> None:
        for tick in self.ticks:
            y = self.y.at(tick)
            self.pad.line(self.left, y, self.width, y, "axis" if tick == 0 else "rule")
            self.pad.text(self.left - 8, y + 4, self.plot.short(tick), anchor="end")

    def _labels(self) -> float:
        """Write what lies along the axis; return the height of the whole."""
        free = -1e9
        for x, label in self._places():
            size = letters.width(label, canvas.SMALL)
            left = min(max(x - size / 2, 0.0), self.width - size)
            if left < free + 10:
                continue
            self.pad.text(left, self.bottom + 17, label)
            free = left + size
        if not self._measured():
            return self.bottom + 26
        middle = (self.left + self.width) / 2
        self.pad.text(middle, self.bottom + 34, self.plot.x.label, anchor="middle")
        return self.bottom + 42

    def _places(self) -> list[tuple[float, str]]:
        if self.timed and len(self.plot.categories) > 1:
            most = max(2, int((self.width - self.left) / 76))
            found = scales.calendar(
                self.x.low, self.x.high, most, whole=self.plot.x.format != "instant"
            )
            return [(self.x.at(at), label) for at, label in found]
        if self._measured():
            most = max(2, int((self.width - self.left) / 60))
            round_ = scales.ticks(self.x.low, self.x.high, most)
            inside = [t for t in round_ if self.x.low <= t <= self.x.high]
            style = self.plot.x.format
            return [(self.x.at(t), writing.compact(t, style)) for t in inside]
        found = [(self.x.at(self._place(c)), self.plot.label(c)) for c in self.plot.categories]
        if not found:
            return []
        widest = max(letters.width(label, canvas.SMALL) for _, label in found) + 12
        most = max(1, int((self.width - self.left) // widest))
        return found[:: -(-len(found) // most)]

    def _line(self, one: Series) -> None:
        runs = self._runs(one)
        for run in runs:
            if self.chart.kind == "area":
                base = self.y.at(0.0)
                path = _path(run) + f"L{run[-1][0]:.1f},{base:.1f}L{run[0][0]:.1f},{base:.1f}Z"
                self.pad.area(path, one.colour, opacity=0.35)
            if len(run) > 1:
                self.pad.path(_path(run), one.colour)
        alone = len(runs) == 1 and len(runs[0]) == 1
        for category in self.plot.categories if self._few() else ():
            value = one.values.get(category)
            if value is not None:
                title = f"{self.plot.label(category)}, {one.name}: {self.plot.written(value)}"
                at = self.x.at(self._place(category)), self.y.at(value)
                self.pad.dot(*at, 5 if alone else 2.6, one.colour, title)

    def _few(self) -> bool:
        return len(self.plot.categories) <= _DOTS

    def _runs(self, one: Series) -> list[list[Point]]:
        """Return the points of a series, broken where a value is unknown."""
        runs: list[list[Point]] = [[]]
        for category in self.plot.categories:
            value = one.values.get(category)
            if value is None:
                runs.append([])
            else:
                runs[-1].append((self.x.at(self._place(category)), self.y.at(value)))
        return [run for run in runs if run]

    def _stacked(self) -> None:
        xs = [self.x.at(self._place(c)) for c in self.plot.categories]
        if len(xs) == 1:
            xs = [self.left + 4, self.width - 8]
        below = [0.0] * len(self.plot.categories)
        for one in self.plot.series:
            above = [b + max(one.values.get(c) or 0.0, 0.0)
                     for b, c in zip(below, self.plot.categories, strict=True)]  # fmt: skip
            over, under = _level(above, len(xs)), _level(below, len(xs))
            path = [(x, self.y.at(v)) for x, v in zip(xs, over, strict=True)]
            back = [(x, self.y.at(v)) for x, v in zip(xs, under, strict=True)]
            self.pad.area(_path(path) + _path(back[::-1]).replace("M", "L", 1) + "Z", one.colour)
            below = above

    def _columns(self) -> None:
        step = (self.width - self.left) / max(len(self.plot.categories), 1)
        room = min(step * 0.78, 56.0)
        each = room if self.chart.stacked else room / max(len(self.plot.series), 1)
        for category in self.plot.categories:
            left = self.x.at(self._place(category)) - room / 2
            up = down = 0.0
            for place, one in enumerate(self.plot.series):
                value = one.values.get(category)
                if value is None:
                    continue
                start = 0.0 if not self.chart.stacked else up if value >= 0 else down
                end = start + value
                up, down = (end, down) if value >= 0 else (up, end)
                x = left if self.chart.stacked else left + place * each
                self._column(one, category, x, each, start, end)

    def _column(
        self, one: Series, category: Any, x: float, each: float, start: float, end: float
    ) -> None:
        high, low = self.y.at(max(start, end)), self.y.at(min(start, end))
        words = self.plot.written(end - start)
        title = f"{self.plot.label(category)}, {one.name}: {words}"
        self.pad.rect(x, high, max(each - 1, 1.0), low - high, one.colour, title=title)

    def _mark(self) -> None:
        mark = self.chart.reference
        if mark is None:
            return
        y = self.y.at(mark.value)
        self.pad.line(self.left, y, self.width, y, "dim", dash="4 3")
        self.pad.text(self.width, y - 5, mark.label, anchor="end")


def _path(points: list[Point]) -> str:
    return "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _level(values: list[float], count: int) -> list[float]:
    return values if len(values) == count else values * count

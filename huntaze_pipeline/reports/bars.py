"""Horizontal bars with their names and numbers, and the funnel: bars one inside the other."""

from dataclasses import replace
from typing import Any

from huntaze_pipeline.reports import canvas, legend, letters, writing
from huntaze_pipeline.reports.canvas import Canvas, Drawing
from huntaze_pipeline.reports.figures import Table
from huntaze_pipeline.reports.scales import Scale
from huntaze_pipeline.reports.series import Plot, Series, plot
from huntaze_pipeline.warehouse.reports import Chart

NARROW = 460.0
"""Below this width names stand above their bars."""
_NAMES = 0.34
_GAP = 9.0


def draw(chart: Chart, table: Table, width: float) -> Drawing:
    """Draw a bar for every category and series, its number at its end."""
    layout = plot(chart, table)
    shown = layout.categories[: chart.top]
    return _Bars(chart, layout, shown, width).drawing()


class _Bars:
    """One drawing of bars: the room for names and numbers first, then the bars."""

    def __init__(self, chart: Chart, layout: Plot, shown: list[Any], width: float) -> None:
        self.chart, self.plot, self.shown, self.width = chart, layout, shown, width
        self.pad = Canvas()
        self.apart = bool(chart.colour) and not chart.stacked
        self.single = len(layout.series) == 1 or self.apart or chart.stacked
        self.thick = 15.0 if self.single else 13.0
        self.above = width < NARROW
        self.names = 0.0 if self.above else self._names()
        self.scale = self._scale()

    def _names(self) -> float:
        widest = max((letters.width(self.plot.label(c), 12) for c in self.shown), default=0.0)
        return min(widest, self.width * _NAMES) + 12

    def _ends(self) -> list[float]:
        """Return where bars end: values, or their sums when they are stacked."""
        if self.chart.stacked:
            return [sum(max(v, 0) for v in self._of(c)) for c in self.shown]
        return [v for c in self.shown for v in self._of(c)]

    def _of(self, category: Any) -> list[float]:
        values = (s.values.get(category) for s in self.plot.series)
        return [v for v in values if v is not None]

    def _scale(self) -> Scale:
        ends = self._ends() or [0.0]
        mark = self.chart.reference
        reach = [*ends, 0.0, *([mark.value] if mark else [])]
        texts = [(v, letters.width(self.plot.written(v), canvas.SMALL) + 8) for v in ends]
        right = max([16.0, *(size for v, size in texts if v >= 0)])
        left = max((size for v, size in texts if v < 0), default=0.0)
        return Scale(min(reach), max(reach), self.names + left, self.width - right)

    def drawing(self) -> Drawing:
        """Draw everything; return the picture."""
        y = legend.draw(self.pad, self.plot.series, self.width)
        mark = self.chart.reference
        if mark is not None and mark.label:
            y += 22
        first = y
        for category in self.shown:
            y = self._group(category, y)
        base = self.scale.at(0.0)
        self.pad.line(base, first - 2, base, y - _GAP + 2, "axis")
        if mark is not None:
            self._mark(self.scale.at(mark.value), mark.label, first, y - _GAP + 2)
        return Drawing(self.pad.body, self.width, y, _note(self.plot, self.shown))

    def _group(self, category: Any, y: float) -> float:
        label, series = self.plot.label(category), self._series(category)
        height = self.thick * (1 if self.single else len(series))
        if self.above:
            self.pad.text(0, y + 11, label, size=12, colour="ink", room=self.width)
            y += 17
        else:
            middle = y + height / 2 + 4
            self.pad.text(self.names - 10, middle, label, size=12, anchor="end", colour="ink",
                          room=self.names - 12)  # fmt: skip
        if self.chart.stacked:
            self._stack(category, series, y)
        else:
            for place, one in enumerate(series):
                self._bar(one, category, y + place * self.thick, label)
        return y + height + _GAP

    def _series(self, category: Any) -> list[Series]:
        if self.apart:
            return [s for s in self.plot.series if category in s.values]
        return self.plot.series

    def _bar(self, one: Series, category: Any, y: float, label: str) -> None:
        value = one.values.get(category)
        base, end = self.scale.at(0.0), self.scale.at(value or 0.0)
        alone = len(self.plot.series) == 1
        colour = canvas.RED if alone and (value or 0.0) < 0 else one.colour
        words = self.plot.written(value)
        height = self.thick - (0 if self.single else 1)
        self.pad.rect(min(base, end), y, abs(end - base), height, colour, radius=1.5,
                      title=f"{label}, {one.name}: {words}")  # fmt: skip
        at, side = (end - 6, "end") if (value or 0.0) < 0 else (end + 6, "start")
        self.pad.text(at, y + height / 2 + 4, words, anchor=side)

    def _stack(self, category: Any, series: list[Series], y: float) -> None:
        total = 0.0
        for one in series:
            value = max(one.values.get(category) or 0.0, 0.0)
            start, total = self.scale.at(total), total + value
            title = f"{self.plot.label(category)}, {one.name}: {self.plot.written(value)}"
            size = self.scale.at(total) - start
            self.pad.rect(start, y, size, self.thick, one.colour, title=title)
        self.pad.text(self.scale.at(total) + 6, y + self.thick / 2 + 4, self._written(total))

    def _written(self, total: float) -> str:
        return self.plot.written(total)

    def _mark(self, x: float, label: str, top: float, bottom: float) -> None:
        self.pad.line(x, top - 4, x, bottom, "dim", dash="4 3")
        size = letters.width(label, canvas.SMALL)
        at = min(max(x - size / 2, 0.0), self.width - size)
        self.pad.text(at, top - 8, label)


def funnel(chart: Chart, table: Table, width: float) -> Drawing:
    """Draw the stages of one row under each other, or of many rows one inside the other."""
    layout = plot(chart, table)
    if len(layout.categories) == 1:
        return _stages(layout, width)
    return _nested(layout, layout.categories[: chart.top], width)


def _stages(layout: Plot, width: float) -> Drawing:
    """Draw a bar a stage with its share of the first stage and of the one before."""
    pad, category = Canvas(), layout.categories[0]
    values = [s.values.get(category) or 0.0 for s in layout.series]
    names = max(letters.width(s.name, 13) for s in layout.series) + 14
    notes = [_share(values, place) for place in range(len(values))]
    room = max(
        letters.width(f"{layout.written(v)}  {n}", 12) for v, n in zip(values, notes, strict=True)
    )
    scale = Scale(0.0, max(*values, 1.0), names, max(width - room - 14, names + 40))
    for place, (one, value, note) in enumerate(zip(layout.series, values, notes, strict=True)):
        y = place * 34.0
        pad.text(0, y + 18, one.name, size=13, colour="ink")
        title, depth = f"{one.name}: {layout.written(value)}", 1 - 0.17 * min(place, 4)
        pad.rect(names, y, scale.at(value) - names, 26, canvas.BLUE, radius=2, opacity=depth,
                 title=title)  # fmt: skip
        at = scale.at(value) + 8
        pad.text(at, y + 18, layout.written(value), size=12, colour="ink", bold=True)
        size = letters.width(layout.written(value), 12, bold=True)
        pad.text(at + size + 6, y + 18, note, size=11)
    return Drawing(pad.body, width, len(values) * 34.0, layout.left_out)


def _share(values: list[float], place: int) -> str:
    return "" if place == 0 else f"{writing.percent(values[place], values[0])} of first"


def _nested(layout: Plot, shown: list[Any], width: float) -> Drawing:
    """Draw each row's stages in one band, later ones darker; the last is a line in its middle."""
    pad, layout = Canvas(), _shaded(layout)
    y = legend.draw(pad, layout.series, width)
    above = width < NARROW
    widest = max(letters.width(layout.label(c), 12) for c in shown)
    names = 0.0 if above else min(widest, width * _NAMES) + 12
    top = max((v for c in shown for s in layout.series if (v := s.values.get(c))), default=1.0)
    texts = [layout.written(layout.series[0].values.get(c)) for c in shown]
    room = max(letters.width(text, canvas.SMALL) for text in texts) + 8
    scale = Scale(0.0, top, names, width - room)
    for category, text in zip(shown, texts, strict=True):
        label = layout.label(category)
        if above:
            pad.text(0, y + 11, label, size=12, colour="ink", room=width)
            y += 17
        else:
            pad.text(
                names - 10, y + 12, label, size=12, anchor="end", colour="ink", room=names - 12
            )
        _band(pad, layout, category, scale, y)
        longest = max(s.values.get(category) or 0.0 for s in layout.series)
        pad.text(scale.at(longest) + 6, y + 12, text)
        y += 25
    pad.line(names, legend_end(layout), names, y - 8, "axis")
    return Drawing(pad.body, width, y, _note(layout, shown))


def _shaded(layout: Plot) -> Plot:
    """Stages of one thing: shades of one colour, and another for the goal."""
    shades = (*canvas.SHADES[-len(layout.series) + 1 :], canvas.GREEN)
    series = [replace(s, colour=c) for s, c in zip(layout.series, shades, strict=False)]
    return replace(layout, series=series)


def legend_end(layout: Plot) -> float:
    """Return where the first band begins."""
    return 22.0 if len(layout.series) > 1 else 0.0


def _band(pad: Canvas, layout: Plot, category: Any, scale: Scale, y: float) -> None:
    for place, one in enumerate(layout.series):
        value = one.values.get(category) or 0.0
        thick = 16.0 if place < len(layout.series) - 1 else 6.0
        title = f"{layout.label(category)}, {one.name}: {layout.written(value)}"
        top, width = y + (16 - thick) / 2, scale.at(value) - scale.start
        pad.rect(scale.start, top, width, thick, one.colour, radius=1, title=title)


def _note(layout: Plot, shown: list[Any]) -> str:
    if len(shown) == len(layout.categories):
        return layout.left_out
    return (
        f"The first {len(shown)} of {len(layout.categories):,} are drawn. {layout.left_out}".strip()
    )

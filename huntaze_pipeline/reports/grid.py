"""Tables on paper: how wide each column is, where its words stand, and what is cut to fit."""

from dataclasses import dataclass

from huntaze_pipeline.reports import letters, writing
from huntaze_pipeline.reports.canvas import RED, Canvas
from huntaze_pipeline.reports.figures import Row, Table
from huntaze_pipeline.warehouse.reports import Column

_SIZES = (10.5, 9.5, 8.5, 7.5)
_GAP = 12.0
_LEAST = 64.0
"""How far a column of words may be narrowed."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table whose columns have their widths."""

    table: Table
    widths: tuple[float, ...]
    size: float
    heads: tuple[tuple[str, ...], ...]

    @property
    def step(self) -> float:
        """Height of a row."""
        return self.size + 8.5

    @property
    def head(self) -> float:
        """Height of the head."""
        return max(map(len, self.heads)) * (self.size + 2) + 9

    def heading(self, sheet: Canvas, left: float, top: float) -> None:
        """Write the head, aligned at its last line."""
        bottom = top + self.head - 7
        for place, column in enumerate(self.table.shown):
            lines = self.heads[place]
            for number, words in enumerate(lines):
                y = bottom - (len(lines) - 1 - number) * (self.size + 2)
                self._put(sheet, left, y, place, column, words, bold=True)
        width = sum(self.widths)
        sheet.line(left, top + self.head - 1, left + width, top + self.head - 1, "axis")

    def row(self, sheet: Canvas, left: float, top: float, row: Row) -> None:
        """Write one row."""
        for place, column in enumerate(self.table.shown):
            words = writing.cell(column, row, self.table)
            self._put(sheet, left, top + self.size + 2.5, place, column, words)
        y = top + self.step
        sheet.line(left, y, left + sum(self.widths), y, "rule", width=0.7)

    def _put(
        self, sheet: Canvas, left: float, y: float, place: int, column: Column, words: str, *,
        bold: bool = False,
    ) -> None:  # fmt: skip
        start = left + sum(self.widths[:place])
        width = self.widths[place] - (_GAP if place < len(self.widths) - 1 else 0)
        right = column.format in writing.FIGURES
        tone = "dim" if bold else "ink"
        if right and not bold and words.startswith(writing.MINUS) and column.format != "number":
            tone = RED
        x, anchor = (start + width, "end") if right else (start, "start")
        sheet.text(
            x, y, words, size=self.size, anchor=anchor, colour=tone, bold=bold, room=width + 2
        )


def lay(table: Table, room: float) -> Grid:
    """Give every column its width: in the largest letters that fit, words cut before all else."""
    for size in _SIZES:
        widths = [_width(table, column, size) for column in table.shown]
        least = [
            min(w, _LEAST) if c.format == "text" else w
            for w, c in zip(widths, table.shown, strict=True)
        ]
        if sum(least) <= room or size == _SIZES[-1]:
            return _grid(table, widths, least, room, size)
    raise AssertionError("there are sizes")


def _grid(table: Table, widths: list[float], least: list[float], room: float, size: float) -> Grid:
    over = sum(widths) - room
    slack = sum(w - m for w, m in zip(widths, least, strict=True))
    share = min(max(over, 0.0) / slack, 1.0) if slack else 0.0
    final = [w - share * (w - m) for w, m in zip(widths, least, strict=True)]
    spare = room - sum(final)
    final = [w * room / sum(final) for w in final] if spare < 0 else _spread(final, spare)
    heads = tuple(
        tuple(letters.lines(c.label, w - _GAP + 2, size, bold=True))
        for c, w in zip(table.shown, final, strict=True)
    )
    return Grid(table, tuple(final), size, heads)


def _spread(widths: list[float], spare: float) -> list[float]:
    return [w + spare / len(widths) for w in widths]


def _width(table: Table, column: Column, size: float) -> float:
    head = max(letters.width(word, size, bold=True) for word in column.label.split())
    cells = (letters.width(writing.cell(column, row, table), size) for row in table.rows)
    return max(head, *cells, 0.0) + _GAP + 1

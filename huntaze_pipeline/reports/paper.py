"""A page laid out for paper: A4 sheets as SVG, or one long sheet for a picture.

Nothing is measured by a browser: `letters` knows how wide words are. What the page says is
`page`'s, making files of the sheets is `files`'.
"""

from dataclasses import dataclass, field
from html import escape

from huntaze_pipeline.reports import canvas, drawing, grid, letters
from huntaze_pipeline.reports import page as pages
from huntaze_pipeline.reports.canvas import Canvas
from huntaze_pipeline.reports.figures import Table
from huntaze_pipeline.reports.page import Figure, Page, Section, Tile

WIDTH, HEIGHT, MARGIN = 794.0, 1123.0, 56.0
POINTS = 595 / WIDTH
"""Points of a PDF in one of our units."""
ROOM = WIDTH - 2 * MARGIN
MOST = 400
LONG_MOST = 60
"""Rows of a table on sheets, and on the one long sheet."""
_FOOT = 44.0
_TONES = {"good": "#1b7f5d", "bad": "#b42318", "plain": canvas.DIM}


def sheets(page: Page) -> list[str]:
    """Return the page as A4 sheets, each a whole SVG, numbered at the foot."""
    flow = _Flow(HEIGHT - MARGIN - _FOOT, MOST)
    flow.page(page)
    count = len(flow.sheets)
    for number, sheet in enumerate(flow.sheets, start=1):
        sheet.text(MARGIN, HEIGHT - 40, f"{page.title} · {page.subtitle}", size=9, room=ROOM - 60)
        sheet.text(WIDTH - MARGIN, HEIGHT - 40, f"{number} / {count}", size=9, anchor="end")
    return [_svg(sheet.body, HEIGHT, POINTS) for sheet in flow.sheets]


def long(page: Page) -> str:
    """Return the page as one sheet that is as long as it needs to be."""
    flow = _Flow(float("inf"), LONG_MOST)
    flow.page(page)
    (sheet,) = flow.sheets
    return _svg(sheet.body, flow.y + MARGIN / 2, 1.0)


def _svg(body: str, height: float, scale: float) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH * scale:.0f}"'
        f' height="{height * scale:.0f}" viewBox="0 0 {WIDTH:.0f} {height:.0f}"'
        f' font-family="{escape(canvas.FONT)}"><rect width="100%" height="100%" fill="#ffffff"/>'
        f"{body}</svg>"
    )


@dataclass(slots=True)
class _Flow:
    """Fills sheets from top to bottom."""

    bottom: float
    most: int
    sheets: list[Canvas] = field(default_factory=lambda: [Canvas()])
    y: float = MARGIN

    @property
    def sheet(self) -> Canvas:
        return self.sheets[-1]

    def need(self, height: float) -> None:
        """Begin a new sheet when so much does not fit on this one."""
        if self.y + height > self.bottom and self.y > MARGIN:
            self.sheets.append(Canvas())
            self.y = MARGIN

    def page(self, page: Page) -> None:
        """Lay out everything."""
        self.words(page.title, 25, 31, bold=True, colour="ink")
        self.words(page.subtitle, 11, 16)
        if page.lead:
            self.y += 6
            self.words(page.lead, 12, 17, colour="ink")
        self.tiles(page.tiles)
        for section in page.sections:
            self.section(section)
        self.foot(page)

    def words(
        self, text: str, size: float, step: float, *, bold: bool = False, colour: str = "dim",
        left: float = MARGIN,
    ) -> None:  # fmt: skip
        """Write a paragraph, broken into lines."""
        for line in letters.lines(text, WIDTH - MARGIN - left, size, bold=bold) if text else ():
            self.need(step)
            self.sheet.text(left, self.y + size, line, size=size, bold=bold, colour=colour)
            self.y += step

    def tiles(self, tiles: tuple[Tile, ...]) -> None:
        """Draw the headline numbers in rows."""
        if not tiles:
            return
        across = pages.across(len(tiles))
        each = (ROOM - 10 * (across - 1)) / across
        self.y += 14
        for start in range(0, len(tiles), across):
            row = tiles[start : start + across]
            height = 66.0 if any(tile.note for tile in row) else 54.0
            self.need(height + 12)
            for place, tile in enumerate(row):
                self.tile(tile, MARGIN + place * (each + 10), each, height)
            self.y += height + 12

    def tile(self, tile: Tile, x: float, width: float, height: float) -> None:
        """Draw one headline number."""
        self.sheet.rect(x, self.y, width, height, "rule", opacity=0.45, radius=6)
        size = 19.0
        while letters.width(tile.number, size, bold=True) > width - 22 and size > 11:
            size -= 1
        self.sheet.text(x + 11, self.y + 19, tile.label, size=10, room=width - 18)
        self.sheet.text(x + 11, self.y + 42, tile.number, size=size, bold=True, colour="ink",
                        room=width - 14)  # fmt: skip
        self.sheet.text(x + 11, self.y + 57, tile.note, size=8.5, room=width - 16)

    def section(self, section: Section) -> None:
        """Lay out one section; its heading stays with what follows."""
        drawn = [(f, drawing.draw(f.chart, f.table, ROOM)) for f in section.figures]
        first = drawn[0][1].height if drawn else 90.0
        self.y += 22
        self.need(46 + first)
        self.heading(section)
        self.words(section.lead, 10.5, 15)
        for words in section.words:
            self.words(words, 11, 16, colour="ink")
        for figure, picture in drawn:
            if len(drawn) > 1 and figure.chart.title:
                self.y += 8
                self.need(24 + picture.height)
                self.words(figure.chart.title, 12, 18, bold=True, colour="ink")
            self.figure(figure, picture)
        if section.table is not None and section.table.rows:
            self.table(section.table)

    def heading(self, section: Section) -> None:
        """Write a section's title and, beside it, the verdict."""
        self.sheet.text(
            MARGIN, self.y + 14, section.title, size=15, bold=True, colour="ink", room=ROOM
        )
        if section.badge is not None:
            at = MARGIN + letters.width(section.title, 15, bold=True) + 12
            tone = _TONES[section.badge.tone]
            self.sheet.text(at, self.y + 14, section.badge.words, size=11, bold=True, colour=tone,
                            room=WIDTH - MARGIN - at)  # fmt: skip
        self.y += 22

    def figure(self, figure: Figure, picture: canvas.Drawing) -> None:
        """Place a chart; one that is taller than a sheet is shrunk to it."""
        space = self.bottom - MARGIN
        shrink = min(1.0, space / picture.height)
        self.y += 6
        self.need(picture.height * shrink)
        place = (
            f'x="{MARGIN:.1f}" y="{self.y:.1f}" width="{picture.width * shrink:.1f}"'
            f' height="{picture.height * shrink:.1f}"'
        )
        self.sheet.parts.append(picture.svg(figure.chart.title, place=place))
        self.y += picture.height * shrink + 4
        self.words(picture.note, 9.5, 14)

    def table(self, table: Table) -> None:
        """Write a table; its head is repeated on every sheet."""
        laid = grid.lay(table, ROOM)
        self.y += 6
        self.need(laid.head + 2 * laid.step)
        laid.heading(self.sheet, MARGIN, self.y)
        self.y += laid.head
        for row in table.rows[: self.most]:
            if self.y + laid.step > self.bottom:
                self.need(self.bottom)
                laid.heading(self.sheet, MARGIN, self.y)
                self.y += laid.head
            laid.row(self.sheet, MARGIN, self.y, row)
            self.y += laid.step
        if len(table.rows) > self.most:
            self.y += 4
            more = (
                f"The first {self.most} of {len(table.rows):,} rows; CSV and JSON have all of them."
            )
            self.words(more, 9.5, 14)

    def foot(self, page: Page) -> None:
        """Write what the numbers are."""
        if not page.definitions and not page.notes:
            return
        self.y += 24
        self.need(60)
        self.words("What these numbers are", 12, 20, bold=True, colour="ink")
        names = [letters.width(term, 10) for term, _ in page.definitions]
        left = MARGIN + min(max(names, default=0.0), 150.0) + 14
        for term, meaning in page.definitions:
            self.need(14)
            self.sheet.text(
                MARGIN, self.y + 10, term, size=10, colour="ink", room=left - MARGIN - 8
            )
            self.words(meaning, 10, 14, left=left)
        self.y += 6
        for note in page.notes:
            self.words(note, 10, 14)

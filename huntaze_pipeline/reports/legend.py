"""The key of a chart: coloured squares with names."""

from collections.abc import Sequence

from huntaze_pipeline.reports import canvas, letters
from huntaze_pipeline.reports.canvas import Canvas
from huntaze_pipeline.reports.series import Series

_SQUARE = 10.0


def draw(pad: Canvas, series: Sequence[Series], width: float, *, only: bool = False) -> float:
    """Draw the key, wrapped where it must be; return the height taken.

    Args:
        pad: where it is drawn, from its upper left corner.
        series: what it names; a single series needs no key.
        width: how much room there is.
        only: whether a single series is named too.
    """
    if len(series) < 2 and not only:
        return 0.0
    x, y = 0.0, 0.0
    for one in series:
        room = width - 20
        size = letters.width(letters.fit(one.name, room, canvas.SMALL), canvas.SMALL) + 32
        if x and x + size - 16 > width:
            x, y = 0.0, y + 18
        pad.rect(x, y + 1, _SQUARE, _SQUARE, one.colour, radius=2)
        pad.text(x + 15, y + 10, one.name, room=room)
        x += size
    return y + 24

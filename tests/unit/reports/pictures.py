"""Reads a drawing back: where every word stands, so that tests can see what a reader would."""

import re
from dataclasses import dataclass
from xml.etree import ElementTree

from huntaze_pipeline.reports import letters
from huntaze_pipeline.reports.canvas import Drawing

SVG = "{http://www.w3.org/2000/svg}"
_MOVED = re.compile(r"translate\(([-\d.]+),([-\d.]+)\)")


@dataclass(frozen=True)
class Word:
    text: str
    left: float
    right: float
    top: float
    bottom: float

    def over(self, other: "Word") -> bool:
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return across > 1 and down > 1.5


def words(drawn: Drawing) -> list[Word]:
    root = ElementTree.fromstring(drawn.svg("a picture"))
    found: list[Word] = []
    _walk(root, 0.0, 0.0, found)
    return found


def _walk(node: ElementTree.Element, x: float, y: float, found: list[Word]) -> None:
    moved = _MOVED.match(node.get("transform", ""))
    if moved:
        x, y = x + float(moved[1]), y + float(moved[2])
    if node.tag == f"{SVG}text":
        found.append(_word(node, x, y))
    for child in node:
        _walk(child, x, y, found)


def _word(node: ElementTree.Element, x: float, y: float) -> Word:
    size = float(node.get("font-size", "0"))
    wide = letters.width(node.text or "", size, bold=node.get("font-weight") == "bold")
    left = x + float(node.get("x", "0"))
    left -= {"end": wide, "middle": wide / 2}.get(node.get("text-anchor", "start"), 0.0)
    base = y + float(node.get("y", "0"))
    return Word(node.text or "", left, left + wide, base - 0.72 * size, base + 0.2 * size)

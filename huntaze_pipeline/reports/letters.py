"""How wide text is, so that nothing is cut or overlaps before anybody has drawn it.

The widths are those of Helvetica (Adobe's AFM file), which Arial and Liberation Sans share: the
fonts of our charts on screen and on paper.
"""

import unicodedata

_WIDTHS: dict[str, int] = {
    **dict.fromkeys("ijl'", 222), **dict.fromkeys(" !,./:;I[]\\ft", 278),
    **dict.fromkeys("()-`r", 333), **dict.fromkeys("cksvxyzJ", 500), **dict.fromkeys("FTZ", 611),
    **dict.fromkeys("&ABEKPSVXY", 667), **dict.fromkeys("CDHNRUw", 722),
    **dict.fromkeys("GOQ", 778), **dict.fromkeys("Mm", 833),
    "%": 889, "W": 944, "@": 1015, '"': 355, "*": 389, "|": 260, "{": 334, "}": 334,
    **dict.fromkeys("+<=>~−÷×", 584), "…": 1000, "·": 278, "–": 556, "—": 1000, "’": 222,
}  # fmt: skip
_OTHER = 556
ELLIPSIS = "…"


def width(text: str, size: float, *, bold: bool = False) -> float:
    """Return the width of a text in the unit of its size."""
    total = sum(_one(letter) for letter in text)
    return total * size / 1000 * (1.07 if bold else 1.0)


def fit(text: str, room: float, size: float, *, bold: bool = False) -> str:
    """Return the text, cut with an ellipsis where it would not fit."""
    if width(text, size, bold=bold) <= room + 0.5:
        return text
    end = len(text)
    while end > 1 and width(text[:end].rstrip() + ELLIPSIS, size, bold=bold) > room:
        end -= 1
    return text[:end].rstrip() + ELLIPSIS


def lines(text: str, room: float, size: float, *, bold: bool = False) -> list[str]:
    """Break a text into lines that fit; a word that is wider than a line is broken too."""
    found, line = [], ""
    for word in text.split():
        longer = f"{line} {word}" if line else word
        if width(longer, size, bold=bold) <= room:
            line = longer
            continue
        if line:
            found.append(line)
        while width(word, size, bold=bold) > room and len(word) > 1:
            end = _most(word, room, size, bold)
            found.append(word[:end])
            word = word[end:]
        line = word
    return [*found, line] if line or not found else found


def _most(word: str, room: float, size: float, bold: bool) -> int:
    end = 1
    while end < len(word) and width(word[: end + 1], size, bold=bold) <= room:
        end += 1
    return end


def _one(letter: str) -> int:
    known = _WIDTHS.get(letter)
    if known is not None:
        return known
    if unicodedata.combining(letter):
        return 0
    if unicodedata.east_asian_width(letter) in "WF":
        return 1000
    return 700 if letter.isupper() else _OTHER

"""Shapes and words as SVG text: colours, escaping, and nothing about data.

Every shape carries its colour for paper and a class for the screen, where the page's style gives
lines and words other colours at night.
"""

from dataclasses import dataclass, field
from html import escape

from huntaze_pipeline.reports import letters

FONT = "Helvetica, Arial, sans-serif"
INK, DIM, RULE, AXIS = "#1c2330", "#5b6678", "#e4e7ec", "#b8c0cc"
BLUE, GOLD, GREEN, RED = "#4a7fe0", "#d3922a", "#2f9e78", "#d65a5a"
SERIES = (BLUE, GOLD, GREEN, "#9168d6", "#2e9cb5", "#c9609f", "#8a8f3c", "#7a8699")
SHADES = ("#cddcfa", "#b4cbf7", "#7fa5ec", "#3f6fd0")
"""Light to dark, for stages of one thing."""
SMALL = 11.0
_TONES = {"ink": INK, "dim": DIM, "rule": RULE, "axis": AXIS, "paper": "#ffffff"}


@dataclass(frozen=True, slots=True)
class Drawing:
    """A finished picture and what its caption must say."""

    body: str
    width: float
    height: float
    note: str = ""

    def svg(self, label: str, *, place: str = "") -> str:
        """Return a whole SVG element.

        Args:
            label: what it shows, for readers who cannot see it.
            place: attributes, such as x and y inside another SVG.
        """
        size = f'width="{self.width:.0f}" height="{self.height:.0f}"'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" {place or size}'
            f' viewBox="0 0 {self.width:.0f} {self.height:.0f}" role="img"'
            f' aria-label="{_clean(label)}" font-family="{FONT}">{self.body}</svg>'
        )


@dataclass(slots=True)
class Canvas:
    """Collects shapes; y grows downwards, units are pixels."""

    parts: list[str] = field(default_factory=list)

    def rect(
        self, x: float, y: float, width: float, height: float, colour: str, *,
        opacity: float = 1.0, title: str = "", radius: float = 0.0,
    ) -> None:  # fmt: skip
        """Draw a filled rectangle; `title` shows under the pointer."""
        extra = f' opacity="{opacity:.3f}"' if opacity < 1 else ""
        extra += f' rx="{radius:g}"' if radius else ""
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{height:.1f}"'
            f"{extra} {_colour('fill', colour)}{_closed('rect', title)}"
        )

    def line(
        self, x1: float, y1: float, x2: float, y2: float, colour: str, *,
        width: float = 1.0, dash: str = "",
    ) -> None:  # fmt: skip
        """Draw a straight line."""
        extra = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
            f' stroke-width="{width:g}"{extra} {_colour("stroke", colour)}/>'
        )

    def path(self, points: str, colour: str, *, width: float = 1.8) -> None:
        """Draw a line along a path."""
        self.parts.append(
            f'<path d="{points}" fill="none" stroke-width="{width:g}" stroke-linejoin="round"'
            f' stroke-linecap="round" stroke="{colour}"/>'
        )

    def area(self, points: str, colour: str, *, opacity: float = 0.75) -> None:
        """Fill a closed path."""
        self.parts.append(f'<path d="{points}" fill="{colour}" opacity="{opacity:g}"/>')

    def dot(self, x: float, y: float, radius: float, colour: str, title: str = "") -> None:
        """Draw a filled circle."""
        self.parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" {_colour("fill", colour)}'
            f"{_closed('circle', title)}"
        )

    def text(
        self, x: float, y: float, words: str, *, size: float = SMALL, anchor: str = "start",
        colour: str = "dim", bold: bool = False, room: float | None = None,
    ) -> None:  # fmt: skip
        """Write words; with `room` they are cut to it, and the whole shows under the pointer."""
        shown = words if room is None else letters.fit(words, room, size, bold=bold)
        title = f"<title>{_clean(words)}</title>" if shown != words else ""
        weight = ' font-weight="bold"' if bold else ""
        at = f' text-anchor="{anchor}"' if anchor != "start" else ""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}"{at}{weight}'
            f" {_colour('fill', colour)}>{_clean(shown)}{title}</text>"
        )

    def put(self, inner: str, x: float, y: float) -> None:
        """Place what another canvas drew."""
        self.parts.append(f'<g transform="translate({x:.1f},{y:.1f})">{inner}</g>')

    @property
    def body(self) -> str:
        """Everything drawn so far."""
        return "".join(self.parts)


def _clean(words: str) -> str:
    """Escape what XML would take for its own; control characters have no place in it at all."""
    return escape("".join(" " if ord(letter) < 32 else letter for letter in words))


def _colour(kind: str, colour: str) -> str:
    tone = _TONES.get(colour)
    return f'{kind}="{colour}"' if tone is None else f'class="{kind[0]}-{colour}" {kind}="{tone}"'


def _closed(tag: str, title: str) -> str:
    return f"><title>{_clean(title)}</title></{tag}>" if title else "/>"

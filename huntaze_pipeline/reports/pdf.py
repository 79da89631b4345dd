"""Sheets into one PDF: each is converted alone, then their objects are numbered anew and bound.

The converter (vl-convert's svg2pdf) writes plain objects with classical cross-references and no
object streams, one page a file. Only that shape is understood here; anything else is refused.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from huntaze_pipeline.errors import HuntazeError

_OBJECT = re.compile(rb"(\d+) 0 obj\b")
_LENGTH = re.compile(rb"/Length (\d+)")
_REFERENCE = re.compile(rb"\b(\d+) 0 R\b")
_PAGE = re.compile(rb"/Type\s*/Page\b(?!s)")
_UNUSED = re.compile(rb"/Type\s*/(Catalog|Pages)\b|/Producer")
"""Each document's own catalogue, page tree and information; the bound one has others."""
_STREAM = re.compile(rb"\bstream\r?\n")


@dataclass(frozen=True, slots=True)
class _Object:
    head: bytes
    """The dictionary, without the stream."""
    stream: bytes | None


def of(sheets: Sequence[str], title: str) -> bytes:
    """Return SVG sheets as one PDF document, a page each, fonts inside, text that can be copied."""
    import vl_convert

    return bind([vl_convert.svg_to_pdf(sheet) for sheet in sheets], title)


def bind(documents: Sequence[bytes], title: str) -> bytes:
    """Bind one-page documents together.

    Raises:
        HuntazeError: a document is not in the shape that is understood here.
    """
    bodies: list[bytes] = [b"", b"", b""]  # catalogue, page tree and information come first
    pages: list[int] = []
    for document in documents:
        objects = {n: o for n, o in _objects(document).items() if not _UNUSED.search(o.head)}
        new = {old: len(bodies) + 1 + place for place, old in enumerate(objects)}
        for old, found in objects.items():
            bodies.append(_joined(_renumbered(found.head, new), found.stream))
            if _PAGE.search(found.head):
                pages.append(new[old])
    kids = b" ".join(b"%d 0 R" % page for page in pages)
    bodies[0] = b"<< /Type /Catalog /Pages 2 0 R /Lang (en) >>"
    bodies[1] = b"<< /Type /Pages /Count %d /Kids [%b] >>" % (len(pages), kids)
    bodies[2] = b"<< /Title %b /Producer (Huntaze) >>" % _text(title)
    return _written(bodies)


def _objects(document: bytes) -> dict[int, _Object]:
    """Read every object; streams are skipped by their length, whatever they hold."""
    found: dict[int, _Object] = {}
    at = 0
    while (match := _OBJECT.search(document, at)) is not None:
        end = document.index(b"endobj", match.end())
        start = _STREAM.search(document, match.end(), end)
        if start is None:
            found[int(match[1])] = _Object(document[match.end() : end].strip(), None)
            at = end
            continue
        head = document[match.end() : start.start()].strip()
        length = _LENGTH.search(head)
        if length is None:
            raise HuntazeError("the PDF converter wrote a stream without a length")
        stream = document[start.end() : start.end() + int(length[1])]
        found[int(match[1])] = _Object(head, stream)
        at = document.index(b"endobj", start.end() + int(length[1]))
    if not found or b"/ObjStm" in document:
        raise HuntazeError("the PDF converter wrote a form of PDF that cannot be bound")
    return found


def _renumbered(head: bytes, new: Mapping[int, int]) -> bytes:
    parts = re.split(rb"/Parent \d+ 0 R", head)
    return b"/Parent 2 0 R".join(
        _REFERENCE.sub(lambda m: b"%d 0 R" % new[int(m[1])], part) for part in parts
    )


def _joined(head: bytes, stream: bytes | None) -> bytes:
    return head if stream is None else head + b"\nstream\n" + stream + b"\nendstream"


def _text(words: str) -> bytes:
    """Return a text string in UTF-16, as hexadecimal: no escaping, every letter."""
    return b"<" + ("\ufeff" + words).encode("utf-16-be").hex().upper().encode() + b">"


def _written(bodies: Sequence[bytes]) -> bytes:
    out = bytearray(b"%PDF-1.7\n%\x80\x80\x80\x80\n")
    places = []
    for number, body in enumerate(bodies, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(bodies) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<< /Size %d /Root 1 0 R /Info 3 0 R >>\n" % (len(bodies) + 1)
    out += b"startxref\n%d\n%%%%EOF\n" % table
    return bytes(out)

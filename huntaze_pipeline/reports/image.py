"""Drawings as PNG, for places that show no SVG."""

import struct
import zlib

from huntaze_pipeline.reports.canvas import Drawing

_EDGE = 14
"""White around the picture, in pixels."""


def png(drawn: Drawing, label: str) -> bytes:
    """Return a drawing as a small PNG on white, in its own size."""
    import vl_convert

    width, height = drawn.width + 2 * _EDGE, drawn.height + 2 * _EDGE
    size = f'width="{drawn.width:.0f}" height="{drawn.height:.0f}"'
    inner = drawn.svg(label, place=f'x="{_EDGE}" y="{_EDGE}" {size}')
    return packed(
        vl_convert.svg_to_png(
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}">'
            f'<rect width="100%" height="100%" fill="#fff"/>{inner}</svg>'
        )
    )


def packed(image: bytes) -> bytes:
    """Compress a PNG's pixels anew: the renderer hurries, and leaves it three times as large."""
    chunks, start = [], 8
    while start < len(image):
        (size,) = struct.unpack_from(">I", image, start)
        chunks.append((image[start + 4 : start + 8], image[start + 8 : start + 8 + size]))
        start += size + 12
    pixels = zlib.decompress(b"".join(data for kind, data in chunks if kind == b"IDAT"))
    kept = [(kind, data) for kind, data in chunks if kind == b"IHDR"]
    written = [*kept, (b"IDAT", zlib.compress(pixels, 9)), (b"IEND", b"")]
    return image[:8] + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in written
    )

"""Charts as SVG text, drawn without a browser and without a network. Pages are put together in
`report`.

Colours of marks are readable on white and on black; text and lines take theirs from the page's
style, so one drawing serves both schemes and paper.
"""

import re
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

Rows = Sequence[Mapping[str, Any]]

INK = "#5b8def"
SOFT = "#a9c3f5"
GREEN = "#2fa47c"
RED = "#d9534f"
GOLD = "#d99a2b"
WIDTH = 730
_CONFIG = {
    "font": "Helvetica, Arial, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "labelLimit": 220,
        "domain": False,
        "ticks": False,
    },
    "axisX": {"labelPadding": 6, "tickCount": 7},
    "axisY": {"labelPadding": 6},
    "axisBand": {"grid": False},
    "legend": {"labelFontSize": 11},
    "concat": {"spacing": 12},
}


def funnel(campaigns: Rows) -> str:
    """Sent, opened, clicked and converted of every campaign, one bar inside the other.

    Converted counts recipients (`converters`) where they are known: somebody who converts twice
    is one recipient of the funnel.
    """
    import altair as alt

    stages = ("sent", "opened", "clicked", "converted")
    rows = [
        {
            "campaign": row["name"],
            "stage": stage,
            "count": (row.get("converters") if stage == "converted" else None)
            or row.get(stage)
            or 0,
            "size": 13 - 3 * place,
        }
        for row in campaigns
        for place, stage in enumerate(stages)
    ]
    order = [row["name"] for row in sorted(campaigns, key=lambda r: -(r.get("sent") or 0))]
    chart = (
        _chart(rows, height=alt.Step(19))
        .mark_bar()
        .encode(
            y=alt.Y("campaign:N", sort=order, title=None),
            x=alt.X("count:Q", stack=None, title="recipients"),
            size=alt.Size("size:Q", scale=alt.Scale(domain=[0, 13], range=[0, 13]), legend=None),
            color=alt.Color(
                "stage:N",
                scale=alt.Scale(domain=stages, range=[SOFT, INK, GOLD, GREEN]),
                legend=_legend(),
            ),
            order=alt.Order("size:Q", sort="descending"),
        )
    )
    return _svg(chart, "funnel", "Funnel by campaign")


def timeline(days: Rows) -> str:
    """Sent, clicked and converted by day, with the day's revenue below."""
    import altair as alt

    kinds = {"sent": SOFT, "clicked": GOLD, "converted": GREEN}
    rows = [
        {"day": str(row["day"]), "kind": kind, "count": row.get(kind) or 0}
        for row in days
        for kind in kinds
    ]
    axis = alt.X(
        "day:T",
        title=None,
        scale=alt.Scale(type="utc"),
        axis=alt.Axis(format="%d %b", labelFlush=False, tickCount=8),
    )
    above = (
        _chart(rows, height=150)
        .mark_line(strokeWidth=1.8, point=len(days) == 1)
        .encode(
            x=axis,
            y=alt.Y("count:Q", title="a day"),
            color=alt.Color(
                "kind:N",
                scale=alt.Scale(domain=list(kinds), range=list(kinds.values())),
                legend=_legend(),
            ),
        )
    )
    money = [{"day": str(row["day"]), "revenue": row.get("revenue") or 0} for row in days]
    below = (
        _chart(money, height=90)
        .mark_area(color=INK, opacity=0.5, line={"color": INK})
        .encode(x=axis, y=alt.Y("revenue:Q", title="revenue", axis=alt.Axis(format="~s")))
    )
    return _svg(alt.vconcat(above, below), "timeline", "Messages and revenue by day")


def revenue(campaigns: Rows) -> str:
    """Attributed revenue and cost by campaign; the return on a known cost beside the bar."""
    import altair as alt

    order = [row["name"] for row in sorted(campaigns, key=lambda r: -(r.get("revenue") or 0))]
    rows = [
        {"campaign": row["name"], "kind": kind, "amount": row.get(kind) or 0}
        for row in campaigns
        for kind in ("revenue", "cost")
    ]
    labels = [
        {
            "campaign": row["name"],
            "amount": max(row.get("revenue") or 0, row.get("cost") or 0),
            "text": "no cost known" if row.get("roi") is None else f"ROI {row['roi']:+.0%}",
        }
        for row in campaigns
    ]
    y = alt.Y("campaign:N", sort=order, title=None)
    bars = (
        _chart(rows, height=alt.Step(10))
        .mark_bar()
        .encode(
            y=y,
            yOffset=alt.YOffset("kind:N", sort=["revenue", "cost"]),
            x=alt.X("amount:Q", title=None, axis=alt.Axis(format="~s")),
            color=alt.Color(
                "kind:N",
                scale=alt.Scale(domain=["revenue", "cost"], range=[GREEN, RED]),
                legend=_legend(),
            ),
        )
    )
    text = (
        _chart(labels, height=alt.Step(10))
        .mark_text(align="left", dx=5, fontSize=10)
        .encode(y=y, x="amount:Q", text="text:N")
    )
    return _svg(alt.layer(bars, text), "revenue", "Revenue and cost by campaign")


def arms(rows: Rows) -> str:
    """The rate of every arm with its interval, by experiment."""
    import altair as alt

    table = [
        {
            "experiment": row["experiment"], "variant": row["variant"], "rate": row["rate"],
            "low": (row.get("ci") or (row["rate"],) * 2)[0],
            "high": (row.get("ci") or (row["rate"],) * 2)[1],
        }
        for row in rows
    ]  # fmt: skip
    base = _chart(table, height=alt.Step(24))
    y = alt.Y("variant:N", title=None, sort=None)
    percent = alt.Axis(format="~%", tickCount=8)
    bars = base.mark_rule(strokeWidth=2.5, color=INK).encode(
        y=y, x=alt.X("low:Q", title=None, axis=percent, scale=alt.Scale(zero=False)), x2="high:Q"
    )
    points = base.mark_point(filled=True, size=70, color=INK, opacity=1).encode(y=y, x="rate:Q")
    head = alt.Header(
        title=None,
        labelAngle=0,
        labelAlign="left",
        labelAnchor="start",
        labelOrient="top",
        labelFontWeight="bold",
        labelPadding=4,
    )
    chart = (
        alt.layer(bars, points)
        .facet(row=alt.Row("experiment:N", header=head, sort=None), spacing=14)
        .resolve_scale(y="independent")
    )
    return _svg(chart, "arms", "Rates of the arms with 95 % intervals")


def bars(
    rows: Rows, label: str, value: str, name: str, colour: str = INK, width: int = WIDTH
) -> str:
    """Plain horizontal bars with their numbers, largest first."""
    import altair as alt

    table = [{"label": str(row[label]), "value": row[value] or 0} for row in rows]
    table.sort(key=lambda row: -row["value"])
    base = _chart(table, alt.Step(20), width).encode(
        y=alt.Y("label:N", sort=[row["label"] for row in table], title=None),
        x=alt.X("value:Q", title=None, axis=None),
    )
    drawn = base.mark_bar(color=colour, height=13)
    text = base.mark_text(align="left", dx=4, fontSize=10).encode(
        text=alt.Text("value:Q", format=",")
    )
    return _svg(alt.layer(drawn, text), name, name)


def limiter(minutes: Rows, limit: int) -> str:
    """Sends of all accounts a minute; below, the busiest account against the limit."""
    import altair as alt

    rows = [
        {"minute": str(row["minute"]), "sends": row["sends"], "busiest": row["busiest"]}
        for row in minutes
    ]
    x = alt.X(
        "minute:T", title=None, scale=alt.Scale(type="utc"),
        axis=alt.Axis(format="%H:%M", tickCount=8),
    )  # fmt: skip
    above = (
        _chart(rows, height=110)
        .mark_area(color=INK, opacity=0.5, line={"color": INK}, interpolate="step-after")
        .encode(x=x, y=alt.Y("sends:Q", title="all accounts"))
    )
    top = max([limit, *(row["busiest"] for row in rows)]) * 1.15
    busiest = (
        _chart(rows, height=90)
        .mark_line(color=GOLD, strokeWidth=1.8, interpolate="step-after")
        .encode(x=x, y=alt.Y("busiest:Q", title="busiest", scale=alt.Scale(domain=[0, top])))
    )
    line = _chart([{"limit": limit}], height=90).mark_rule(color=RED, strokeDash=[5, 3])
    text = _chart([{"limit": limit, "text": f"limit {limit}"}], height=90).mark_text(
        color=RED, align="right", x="width", dy=-6, dx=-2, fontSize=10
    )
    below = alt.layer(busiest, line.encode(y="limit:Q"), text.encode(y="limit:Q", text="text:N"))
    return _svg(alt.vconcat(above, below), "limiter", "Sends a minute against the limit")


def rules(rows: Rows, *, false: bool, alpha: float) -> str:
    """How often each rule of a simulation named a winner; a page-independent picture."""
    import altair as alt

    table = [{"rule": row["rule"], "winners": row["winners"]} for row in rows]
    order = [row["rule"] for row in table]
    base = _chart(table, height=alt.Step(24)).encode(
        y=alt.Y("rule:N", sort=order, title=None, axis=alt.Axis(labelLimit=320)),
        x=alt.X(
            "winners:Q",
            title="false winners" if false else "winners found",
            axis=alt.Axis(format="~%"),
        ),
    )
    drawn = base.mark_bar(color=RED if false else GREEN, height=14)
    text = base.mark_text(align="left", dx=4, fontSize=10).encode(
        text=alt.Text("winners:Q", format=".1%")
    )
    layers = [drawn, text]
    if false:
        mark = _chart([{"alpha": alpha}], height=alt.Step(24)).mark_rule(strokeDash=[5, 3])
        layers.append(mark.encode(x="alpha:Q"))
    return _svg(alt.layer(*layers).properties(background="white"), "rules", "Winners by rule")


def png(svg: str) -> bytes:
    """Return a drawing as a PNG on white, for places that show no SVG; its own size, in pixels."""
    import vl_convert

    head, mark, rest = svg.partition(">")
    white = '<rect width="100%" height="100%" fill="#fff"/>'
    return _packed(vl_convert.svg_to_png(f"{head}{mark}{white}{rest}"))


def _packed(png: bytes) -> bytes:
    """Compress a PNG's pixels anew: the renderer hurries, and leaves it three times as large."""
    chunks, start = [], 8
    while start < len(png):
        (size,) = struct.unpack_from(">I", png, start)
        chunks.append((png[start + 4 : start + 8], png[start + 8 : start + 8 + size]))
        start += size + 12
    pixels = zlib.decompress(b"".join(data for kind, data in chunks if kind == b"IDAT"))
    kept = [(kind, data) for kind, data in chunks if kind == b"IHDR"]
    written = [*kept, (b"IDAT", zlib.compress(pixels, 9)), (b"IEND", b"")]
    return png[:8] + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in written
    )


def _chart(rows: Sequence[Mapping[str, Any]], height: Any, width: int = WIDTH) -> Any:
    import altair as alt

    return alt.Chart(alt.InlineData(values=list(rows)), width=width, height=height)


def _legend() -> Any:
    import altair as alt

    return alt.Legend(title=None, orient="top", symbolType="square", symbolSize=90)


def _svg(chart: Any, name: str, title: str) -> str:
    """Draw; ids get the chart's name, for several drawings share one page."""
    import vl_convert

    spec = chart.to_dict(validate=False)
    spec["config"] = _CONFIG | {"background": spec.get("background")}
    svg = vl_convert.vegalite_to_svg(spec)
    svg = re.sub(r'((?:id="|url\(#|href="#))(clip|gradient)', rf"\1{_slug(name)}-\2", svg)
    label = title.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")

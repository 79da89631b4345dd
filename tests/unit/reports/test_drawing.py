"""Charts as a reader sees them: every word inside, none over another, whatever the data."""

from datetime import UTC, date, datetime, timedelta
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pictures import words

from huntaze_pipeline.reports import drawing, screen
from huntaze_pipeline.reports.figures import Table
from huntaze_pipeline.warehouse.reports import Chart, Column, Mark

WIDTHS = sorted(screen.WIDTHS.values())
COLUMNS = (
    Column("name", "text", "Campaign"), Column("day", "date", "Day"),
    Column("at", "instant", "At"), Column("hour", "hour", "Hour"),
    Column("weekday", "weekday", "Weekday"), Column("n", "count", "Sent"),
    Column("m", "count", "Clicked"), Column("rate", "percent", "Rate"),
    Column("low", "percent", "From"), Column("high", "percent", "To"),
    Column("money", "money", "Revenue"), Column("roi", "change", "ROI"),
    Column("kind", "text", "Kind"), Column("won", "flag", "Won"),
)  # fmt: skip
CHARTS = {
    "bars": Chart(kind="bars", x="name", y=["money"]),
    "grouped": Chart(kind="bars", x="name", y=["n", "m"]),
    "negative": Chart(
        kind="bars", x="name", y=["roi"], reference=Mark(value=0, label="break even")
    ),
    "coloured": Chart(kind="bars", x="name", y=["n"], colour="kind"),
    "stacked bars": Chart(kind="bars", x="name", y=["n", "m"], stacked=True),
    "funnel": Chart(kind="funnel", x="name", y=["n", "m"]),
    "line": Chart(kind="line", x="day", y=["n", "m"]),
    "split line": Chart(kind="line", x="day", y=["money"], colour="kind"),
    "area": Chart(kind="area", x="at", y=["n"], reference=Mark(value=10, label="limit 10")),
    "stacked area": Chart(kind="area", x="day", y=["n", "m"], stacked=True),
    "columns": Chart(kind="columns", x="day", y=["money"], colour="kind", stacked=True),
    "side by side": Chart(kind="columns", x="name", y=["n", "m"]),
    "panels": Chart(kind="line", x="day", y=["n"], multiples="kind"),
    "heat": Chart(kind="heatmap", x="hour", y=["weekday"], colour="rate"),
    "forest": Chart(kind="intervals", x="name", y=["rate"], low="low", high="high",
                    multiples="kind", colour="won", reference=Mark(value=0.1, label="target")),
}  # fmt: skip
NAMES = st.text(
    st.characters(categories=("Lu", "Ll", "Lo", "Nd", "Po", "Sc", "So", "Zs", "Cc")), max_size=60
)


def row(place: int, name: str = "Spring drop", n: int | None = 100, part: float = 0.3) -> dict:
    day = date(2026, 1, 1) + timedelta(days=place)
    rate = None if n is None else part
    return {
        "name": name, "day": day, "at": datetime(2026, 3, 2, tzinfo=UTC) + timedelta(hours=place),
        "hour": place % 24, "weekday": place // 24 % 7 + 1, "n": n,
        "m": None if n is None else int(n * part), "rate": rate,
        "low": None if rate is None else rate * 0.8, "high": None if rate is None else rate * 1.2,
        "money": None if n is None else int(n * 1_234_567 * part),
        "roi": None if n is None else part * 40 - 8, "kind": f"kind {place % 3}", "won": part > 0.5,
    }  # fmt: skip


def table(rows: list[dict], currency: str = "USD") -> Table:
    return Table(COLUMNS, rows, currency)


def faults(chart: Chart, found: Table, width: float) -> list[str]:
    drawn = drawing.draw(chart, found, width)
    seen = words(drawn)
    outside = [
        f"{w.text!r} at {w.left:.0f}–{w.right:.0f} of {width}"
        for w in seen
        if w.left < -1 or w.right > width + 1 or w.top < -1 or w.bottom > drawn.height + 1
    ]
    over = [
        f"{a.text!r} over {b.text!r}" for i, a in enumerate(seen) for b in seen[:i] if a.over(b)
    ]
    return outside + over


@pytest.mark.parametrize("name", CHARTS)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    width=st.sampled_from(WIDTHS),
    rows=st.lists(
        st.tuples(
            NAMES, st.none() | st.integers(0, 3_000_000), st.floats(0, 1, allow_subnormal=False)
        ),
        min_size=1,
        max_size=24,
    ),
)
def test_no_word_is_cut_or_covers_another(name, width, rows):
    found = table([row(place, *values) for place, values in enumerate(rows)])
    assert faults(CHARTS[name], found, width) == []


@pytest.mark.parametrize("name", CHARTS)
@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_every_chart_takes_every_number_of_rows(name, count):
    found = table([row(place, f"Mailing {place}", place + 1) for place in range(count)])
    drawn = drawing.draw(CHARTS[name], found, 912)
    ElementTree.fromstring(drawn.svg("a picture"))
    assert drawn.height < 6000
    if count == 0:
        assert "No data" in drawn.body


def test_money_in_another_currency_is_neither_drawn_over_the_creators_nor_kept_quiet():
    columns = Chart(kind="columns", x="day", y=["money"], colour="kind", stacked=True)
    paid = [row(0, n=200_000) | {"currency": name} for name in ("EUR", "USD", "GBP")]
    paid[2]["money"] = 7_000_000
    mixed, alone = (drawing.draw(columns, table(rows), 912) for rows in (paid, paid[1:2]))

    assert mixed.body == alone.body
    assert mixed.note == "Only USD is drawn; EUR, GBP: see the rows."
    assert alone.note == ""


def test_two_days_have_no_hours_between_them():
    days = drawing.draw(CHARTS["line"], table([row(0), row(1)]), 912)
    assert [w.text for w in words(days) if ":" in w.text] == []


@pytest.mark.parametrize("name", CHARTS)
def test_zeros_and_unknown_values_are_drawn_as_such(name):
    drawn = drawing.draw(CHARTS[name], table([row(p, "Quiet", 0, 0.0) for p in range(3)]), 620)
    ElementTree.fromstring(drawn.svg("a picture"))
    assert "nan" not in drawn.body
    assert "inf" not in drawn.body
    unknown = drawing.draw(CHARTS[name], table([row(p, "Lost", None) for p in range(3)]), 620)
    assert "No data" in unknown.body


def test_many_categories_are_cut_and_the_caption_says_so():
    found = table([row(place, f"Mailing {place}") for place in range(40)])
    drawn = drawing.draw(CHARTS["bars"], found, 620)
    assert drawn.note == "The first 15 of 40 are drawn."


def test_rows_of_one_name_keep_a_bar_each():
    found = table([row(0, "Drop", 10), row(1, "Drop", 20)])
    texts = [w.text for w in words(drawing.draw(CHARTS["grouped"], found, 620))]
    assert texts.count("Drop") == 2
    assert {"10", "20"} <= set(texts)


def test_losses_are_red_and_stand_left_of_zero():
    drawn = drawing.draw(CHARTS["negative"], table([row(0, "Loss", 10, 0.1)]), 620)
    assert "#d65a5a" in drawn.body
    (label,) = [w for w in words(drawn) if w.text == "−400%"]
    (even,) = [w for w in words(drawn) if w.text == "break even"]
    assert label.right < even.right


def test_amounts_carry_the_currency_of_the_rows():
    found = Table(
        (*COLUMNS, Column("currency", "hidden", "Currency")),
        [row(0, "Drop", 1000) | {"currency": "EUR"}],
    )
    texts = [w.text for w in words(drawing.draw(CHARTS["bars"], found, 620))]
    assert any(text.startswith("€") for text in texts)


def test_names_cannot_break_out_of_a_picture():
    found = table([row(0, '</text><script>alert("x")</script>')])
    for chart in CHARTS.values():
        assert "<script" not in drawing.draw(chart, found, 912).body


def test_the_days_of_a_line_are_gaps_where_nothing_is_known():
    rows = [row(0, n=5), row(1, n=None), row(2, n=5), row(3, n=6)]
    drawn = drawing.draw(Chart(kind="line", x="day", y=["n"]), table(rows), 620)
    assert drawn.body.count("<path") == 1  # one run of two; a lone point is a dot
    assert drawn.body.count("<circle") == 3


def test_several_charts_make_one_picture_with_their_titles():
    charts = [
        (Chart(kind="bars", x="name", y=["n"], title=title), table([row(0)]))
        for title in ("First", "Second")
    ]
    found = [w for w in words(drawing.stack(charts, 620)) if w.text in ("First", "Second")]
    assert [w.text for w in found] == ["First", "Second"]
    assert found[0].bottom < found[1].top

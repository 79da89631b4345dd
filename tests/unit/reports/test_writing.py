from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huntaze_pipeline.reports import letters, scales, writing
from huntaze_pipeline.warehouse.reports import Column


@pytest.mark.parametrize(
    ("style", "value", "text"),
    [
        ("text", "Ada", "Ada"), ("count", 1234567, "1,234,567"), ("number", 88.208, "88.2"),
        ("number", 0.00012, "0.00012"), ("number", 1234.5, "1,234"), ("number", 0, "0"),
        ("money", 4_500_000, "$4.50"), ("money", -1_234_500_000, "−$1,234"), ("money", 0, "$0.00"),
        ("percent", 0.0047, "0.47%"), ("percent", 0.5, "50.0%"), ("percent", 1, "100%"),
        ("change", 5.24, "+524%"), ("change", -0.77, "−77%"), ("change", 0.034, "+3.4%"),
        ("date", date(2026, 3, 2), "2 Mar 2026"), ("month", date(2026, 3, 1), "Mar 2026"),
        ("instant", datetime(2026, 3, 2, 9, 5, tzinfo=UTC), "2 Mar 2026, 09:05 UTC"),
        ("weekday", 7, "Sun"), ("hour", 9, "09"), ("flag", True, "yes"), ("count", None, "–"),
        ("count", -3, "−3"), ("percent", -0.00001, "0.00%"),
    ],
)  # fmt: skip
def test_values_are_written_for_people(style, value, text):
    assert writing.value(Column("x", style, "X"), value) == text


@pytest.mark.parametrize(
    ("currency", "text"),
    [("EUR", "€4.50"), ("JPY", "¥4"), ("CHF", "CHF 4.50"), ("BRL", "R$4.50")],
)
def test_money_is_told_in_its_currency(currency, text):
    assert writing.value(Column("x", "money", "X"), 4_500_000, currency) == text


@pytest.mark.parametrize(
    ("value", "style", "text"),
    [
        (1500, "count", "1.5k"), (2e6, "money", "$2M"), (0.25, "percent", "25%"),
        (-0.1, "change", "−10%"), (0, "money", "$0"), (0.015, "percent", "1.5%"),
    ],
)  # fmt: skip
def test_axis_labels_are_short(value, style, text):
    assert writing.compact(value, style) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(20, "20 seconds"), (3600, "1 hour"), (259200, "3 days"), (5400, "90 minutes")],
)
def test_lengths_of_time_have_their_largest_whole_unit(seconds, text):
    assert writing.duration(seconds) == text


@given(st.floats(-1e9, 1e9), st.floats(0, 1e9), st.integers(2, 12), st.booleans())
def test_ticks_are_round_and_hold_every_value(low, span, most, whole):
    found = scales.ticks(low, low + span, most, whole=whole)
    step = found[1] - found[0]
    slack = 1e-6 * step + 1e-8 * abs(low) + 1e-12
    assert found[0] <= low + slack
    assert found[-1] >= low + span - slack
    assert len(found) <= most + 2


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2050, 1, 1)),  # noqa: DTZ001
    st.integers(1, 20 * 366 * 86400),
    st.integers(2, 12),
)
def test_moments_of_an_axis_lie_inside_it_in_order_and_are_not_too_many(start, span, most):
    low = start.replace(tzinfo=UTC).timestamp()
    found = scales.calendar(low, low + span, most)
    places = [at for at, _ in found]
    assert places == sorted(places)
    assert all(low <= at <= low + span for at in places)
    assert len(found) <= 2 * most + 2


@given(st.text(max_size=60), st.floats(20, 300))
def test_text_that_was_cut_fits(text, room):
    assert letters.width(letters.fit(text, room, 12), 12) <= max(
        room + 0.5, letters.width(text[:1] + letters.ELLIPSIS, 12)
    )


@given(st.text(max_size=200), st.floats(20, 300))
def test_broken_text_keeps_every_letter(text, room):
    lines = letters.lines(text, room, 12)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(letters.width(line, 12) <= max(room, 30) for line in lines)


def test_the_widths_are_those_of_the_font_that_draws():
    """Digits of Helvetica's AFM file: 'Hello, World' is 5671 thousandths of its size wide."""
    assert letters.width("Hello, World", 1000) == pytest.approx(
        722 + 556 + 222 + 222 + 556 + 278 + 278 + 944 + 556 + 333 + 222 + 556
    )

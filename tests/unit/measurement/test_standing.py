"""Numbers that people read say what they are, as of when, and how sure they are."""

from datetime import UTC, datetime

from huntaze_pipeline.measurement.analytics import Counts
from huntaze_pipeline.measurement.standing import Standing, settled

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_lines_tell_the_source_the_instant_and_both_counts() -> None:
    counts = Counts(
        sent=1000, delivered=990, opened=400, clicked=100, human_opened=300, human_clicked=50,
        converted=12, converters=10, revenue_micros=1_234_500_000,
    )  # fmt: skip
    assert Standing("live", NOW, counts, "EUR").lines() == [
        "live, as of 2026-03-02 12:00:00 UTC: 1,000 sent",
        "         990 delivered (99.0%, 98.2% to 99.5%)",
        "         400 opened (40.0%, 37.0% to 43.1%); 300 by people (30.0%, 27.2% to 32.9%)",
        "         100 clicked (10.0%, 8.3% to 12.0%); 50 by people (5.0%, 3.8% to 6.5%)",
        "          10 converters (1.0%, 0.5% to 1.8%)",
        "    1,234.50 EUR in 12 conversions",
    ]


def test_where_there_is_nothing_to_be_a_share_of_none_is_told() -> None:
    lines = Standing("settled", NOW, Counts(), "EUR").lines()
    assert not any("%" in line for line in lines)


def test_what_was_never_built_is_not_settled() -> None:
    assert settled({}) is None
    assert settled({"sent": 9, "as_of": "x"}) is None
    assert settled({"sent": 9, "as_of": NOW.isoformat()}) == (NOW, Counts(sent=9))

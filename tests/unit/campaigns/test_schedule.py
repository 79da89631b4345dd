"""Repetitions on the wall clock of the creator's zone, across changes of the clock."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huntaze_pipeline.campaigns.schedule import following, upcoming

PARIS = "Europe/Paris"


def at(text, zone=PARIS):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def test_daily_keeps_its_hour_when_the_clocks_change():
    start = at("2026-03-27T18:00")
    times = [start]
    for _ in range(4):
        times.append(following("daily", start, times[-1], PARIS))
    assert [t.astimezone(ZoneInfo(PARIS)).hour for t in times] == [18] * 5
    assert times[2] - times[1] == timedelta(hours=23)


def test_a_time_that_does_not_exist_goes_out_when_the_gap_ends():
    start = at("2026-03-28T02:30")
    assert following("daily", start, start, PARIS) == at("2026-03-29T03:30")


def test_a_doubled_time_goes_out_once():
    start = at("2026-10-24T02:30")
    first = following("daily", start, start, PARIS)
    second = following("daily", start, first, PARIS)
    assert (first.astimezone(ZoneInfo(PARIS)).day, second - first) == (25, timedelta(hours=25))


@pytest.mark.parametrize(
    ("recurring", "expected"),
    [
        ("weekly", "2026-02-07T09:00"),
        ("monthly", "2026-02-28T09:00"),
        ("0 9 * * 1", "2026-02-02T09:00"),
        ("*/15 * * * *", "2026-01-31T09:15"),
    ],
)
def test_the_next_occurrence_after_the_last_day_of_january(recurring, expected):
    start = at("2026-01-31T09:00")
    assert following(recurring, start, start, PARIS) == at(expected)


def test_the_31st_comes_back_after_a_short_month():
    start = at("2026-01-31T09:00")
    assert following("monthly", start, at("2026-03-01T00:00"), PARIS) == at("2026-03-31T09:00")


def test_nothing_comes_after_the_end_or_after_a_single_send():
    start = at("2026-01-05T09:00")
    assert following("daily", start, start, PARIS, end=at("2026-01-06T08:59")) is None
    assert following(None, start, start, PARIS) is None


def test_a_campaign_that_was_paused_for_years_comes_back_at_its_own_hour():
    campaign = SimpleNamespace(start_at=at("2016-01-05T09:00"), end_at=None, recurring="daily")
    assert upcoming(campaign, at("2026-07-01T12:00"), PARIS) == at("2026-07-02T09:00")
    assert upcoming(campaign, at("2026-07-01T09:00"), PARIS) == at("2026-07-01T09:00")


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["daily", "weekly", "monthly", "30 2 * * *", "0 18 * * 5"]),
    st.sampled_from(["Europe/Paris", "America/New_York", "Australia/Lord_Howe", "UTC"]),
    st.integers(0, 3_000),
    st.integers(0, 20_000),
)
def test_occurrences_rise_and_none_is_stepped_over(recurring, zone, begin, later):
    start = datetime(2026, 1, 1, 7, 30, tzinfo=UTC) + timedelta(hours=begin)
    after = start + timedelta(hours=later)
    found = following(recurring, start, after, zone)
    assert found > after
    assert following(recurring, start, found - timedelta(seconds=1), zone) == found
    between = after + (found - after) / 2
    assert following(recurring, start, between, zone) == found

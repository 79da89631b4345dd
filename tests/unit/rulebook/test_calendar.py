"""Moments of cron lines on wall clocks: across changes of the clock, in any zone."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huntaze_pipeline.rulebook import calendar

PARIS = ZoneInfo("Europe/Paris")
ZONES = ["Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]
CRONS = ["0 18 * * 5", "*/20 * * * *", "30 2 * * *", "15,45 2,3 * * *", "0 9 1 * *"]


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def names(cron, where, after, upto):
    return [moment.name for moment in calendar.between(cron, where, utc(after), utc(upto))]


def test_a_wall_clock_time_stays_what_it_is_when_the_clocks_change():
    found = calendar.between("0 18 * * *", PARIS, utc("2026-03-27"), utc("2026-03-30T20:00"))
    assert [m.at.hour for m in found] == [17, 17, 16, 16]
    assert {m.wall.hour for m in found} == {18}


def test_a_time_that_is_skipped_comes_when_the_gap_ends_and_none_is_lost_behind_it():
    assert names("15,45 2,3 * * *", PARIS, "2026-03-29T00:30", "2026-03-29T03:00") == [
        "2026-03-29T02:15",
        "2026-03-29T02:45",
    ]
    assert names("45 2 * * *", PARIS, "2026-03-29T00:30", "2026-03-29T03:00") == [
        "2026-03-29T02:45"
    ]
    mixed = calendar.between("45 2 29 3 *", PARIS, utc("2026-03-29"), utc("2026-03-29T03:00"))
    assert [m.at for m in mixed] == [utc("2026-03-29T01:45")]


def test_a_doubled_hour_counts_once():
    assert names("30 2 * * *", PARIS, "2026-10-24T12:00", "2026-10-25T12:00") == [
        "2026-10-25T02:30"
    ]


def test_a_line_that_never_comes_true_has_no_moment():
    assert calendar.following("0 0 31 2 *", PARIS, utc("2026-03-01")) is None
    assert calendar.following("0 0 29 2 *", PARIS, utc("2026-03-01")) == utc("2028-02-28T23:00")


@pytest.mark.parametrize("line", ["0 18 * * 5", "0 0 29 2 *", "0 0 L 2 *", "0 0 30 2 1"])
def test_a_line_that_comes_some_day_has_no_fault(line):
    assert calendar.fault(line) is None


@pytest.mark.parametrize("line", ["0 0 30 2 *", "0 0 31 4,6,9,11 *"])
def test_a_line_that_never_comes_is_told_from_one_that_is_none(line):
    assert "never comes" in calendar.fault(line)
    assert "no cron line" in calendar.fault("0 18 * *")


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(CRONS),
    st.sampled_from(ZONES),
    st.integers(0, 700 * 24 * 60),
    st.lists(st.integers(1, 72), min_size=1, max_size=4),
)
def test_however_time_is_cut_into_windows_the_moments_are_the_same(cron, zone, start, hours):
    where, after = ZoneInfo(zone), utc("2026-01-01") + timedelta(minutes=start)
    whole = calendar.between(cron, where, after, after + timedelta(hours=sum(hours)))
    parts, at = [], after
    for length in hours:
        parts += calendar.between(cron, where, at, at + timedelta(hours=length))
        at += timedelta(hours=length)
    assert parts == whole
    following = calendar.following(cron, where, after)
    if whole:
        assert following == whole[0].at
    assert following is None or following > after

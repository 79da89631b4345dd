"""Repetitions on the wall clock of the creator's zone, across changes of the clock."""

from datetime import UTC, date, datetime, time, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huntaze_pipeline.campaigns import schedule
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


@pytest.mark.parametrize("recurring", ["daily", "weekly", "0 9 * * *"])
def test_at_its_end_there_is_no_occurrence_any_more(recurring):
    start = at("2026-01-05T09:00")
    last = following(recurring, start, start, PARIS)
    assert following(recurring, start, start, PARIS, end=last) is None
    assert following(recurring, start, start, PARIS, end=last + timedelta(seconds=1)) == last
    before = start - timedelta(days=1)
    assert following(None, start, before, PARIS, end=start) is None
    assert following(None, start, before, PARIS, end=last) == start


def test_a_cron_line_that_never_comes_has_no_occurrence():
    start = at("2026-01-05T09:00")
    assert following("0 0 30 2 *", start, start, PARIS) is None


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


SIX = time(18)
EVERYWHERE = sorted(available_timezones() - {"localtime", "Factory"})


def test_everybody_on_earth_is_decided_before_their_own_clock_shows_the_time():
    for day in (date(2026, 3, 29), date(2026, 10, 25)):
        for clock in (time(0), time(2, 30)):
            lead = schedule.lead(day, clock)
            assert schedule.day_of(lead) == day
            for name in EVERYWHERE:
                where = ZoneInfo(name)
                at = schedule.on_clock(day, clock, where, lead)
                shown = at.astimezone(where)
                assert lead < at
                gap = (
                    shown.time() != clock
                    and shown.utcoffset() != (at - timedelta(hours=3)).astimezone(where).utcoffset()
                )
                assert (shown.date(), shown.time()) == (day, clock) or gap, (name, day, shown)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(EVERYWHERE), st.dates(date(2026, 1, 1), date(2027, 12, 31)), st.times())
def test_a_clock_that_is_past_waits_for_the_next_day_and_never_for_a_day_that_is_taken(
    name, day, clock
):
    where, clock = ZoneInfo(name), clock.replace(second=0, microsecond=0)
    late = schedule.on_clock(day, clock, where, schedule.lead(day, clock)) + timedelta(hours=1)
    at = schedule.on_clock(day, clock, where, late)
    assert timedelta(0) < at - late <= timedelta(hours=26)
    assert schedule.on_clock(day, clock, where, late, day + timedelta(days=1)) is None


def test_days_of_a_repetition_keep_to_the_calendar():
    start = at("2026-03-27T00:00")
    days = [date(2026, 3, 26)]
    for _ in range(3):
        days.append(schedule.following_day("0 0 * * 5", start, days[-1], PARIS, SIX))
    assert days[1:] == [date(2026, 3, 27), date(2026, 4, 3), date(2026, 4, 10)]
    end = at("2026-04-03T18:00")
    assert schedule.following_day("weekly", start, days[1], PARIS, SIX, end) is None
    later = end + timedelta(seconds=1)
    assert schedule.following_day("weekly", start, days[1], PARIS, SIX, later) == days[2]
    assert schedule.following_day("daily", start, days[1], PARIS, SIX) == date(2026, 3, 28)


def test_today_counts_while_its_time_is_ahead_on_the_creators_clock():
    once = SimpleNamespace(start_at=at("2026-03-01T00:00"), end_at=None, recurring=None)
    assert schedule.upcoming_day(once, SIX, at("2026-03-05T17:59"), PARIS) == date(2026, 3, 5)
    assert schedule.upcoming_day(once, SIX, at("2026-03-05T18:01"), PARIS) == date(2026, 3, 6)
    later = SimpleNamespace(start_at=at("2026-03-09T00:00"), end_at=None, recurring=None)
    assert schedule.upcoming_day(later, SIX, at("2026-03-05T18:01"), PARIS) == date(2026, 3, 9)

"""The next time that somebody's clock shows a time of day, in every zone and on every change."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huntaze_pipeline.rulebook.steps import DAYS
from huntaze_pipeline.rulebook.walltime import upcoming, zone

ZONES = sorted(available_timezones())
START = datetime(2025, 1, 1, tzinfo=UTC)
MOMENTS = st.integers(0, 3 * 366 * 1440).map(lambda m: START + timedelta(minutes=m))
CLOCKS = st.integers(0, 1439).map(lambda m: time(m // 60, m % 60))


@settings(max_examples=60, deadline=None)
@given(MOMENTS, CLOCKS, st.sampled_from(ZONES))
def test_it_is_the_first_instant_at_which_the_clock_shows_it(moment, clock, name):
    where, at = zone(name), upcoming(moment, clock, name)
    assert moment <= at < moment + timedelta(days=2)
    shown = at.astimezone(where)
    gap = (shown + timedelta(hours=3)).utcoffset() != (shown - timedelta(hours=3)).utcoffset()
    assert gap or shown.time().replace(fold=0) == clock
    minutes = (moment + timedelta(minutes=m) for m in range((at - moment) // timedelta(minutes=1)))
    same = (local for m in minutes if (local := m.astimezone(where)).time() == clock)
    assert all(local.fold for local in same)  # only the second of a doubled time is left out


@pytest.mark.parametrize(
    ("moment", "clock", "name", "expected"),
    [
        ("2026-03-08T05:00Z", "02:30", "America/New_York", "2026-03-08T07:30Z"),  # skipped
        ("2026-11-01T04:00Z", "01:30", "America/New_York", "2026-11-01T05:30Z"),  # the first of two
        ("2026-03-02T17:00Z", "18:00", "Europe/Paris", "2026-03-02T17:00Z"),  # just now
        ("2026-03-02T17:01Z", "18:00", "Europe/Paris", "2026-03-03T17:00Z"),
        ("2026-03-02T17:01Z", "18:00", "Nowhere/Land", "2026-03-02T18:00Z"),
    ],
)
def test_examples(moment, clock, name, expected):
    at = upcoming(datetime.fromisoformat(moment), time.fromisoformat(clock), name)
    assert at == datetime.fromisoformat(expected)


def test_a_day_of_the_week_is_the_day_in_that_zone():
    moment = datetime(2026, 3, 1, 12, tzinfo=UTC)  # already Monday in Auckland
    for days in (("monday",), ("friday", "monday"), ("sunday",)):
        at = upcoming(moment, time(9), "Pacific/Auckland", days)
        assert DAYS[at.astimezone(zone("Pacific/Auckland")).weekday()] in days
    assert upcoming(moment, time(9), "Pacific/Auckland", ("monday",)) == datetime(
        2026, 3, 1, 20, tzinfo=UTC
    )

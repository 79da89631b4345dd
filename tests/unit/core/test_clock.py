from datetime import UTC, datetime, timedelta

import pytest

from huntaze_pipeline.clock import FixedClock, duration, system_clock


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("24h", 86400), ("7d", 604800), ("2w", 1209600), ("250ms", 0.25)],
)
def test_a_duration_carries_its_unit(text: str, seconds: float) -> None:
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["15", "", "h", "-5m", "15 minutes", "15M", "1e3s"])
def test_a_bare_or_odd_duration_is_refused_with_the_units_that_exist(text: str) -> None:
    with pytest.raises(ValueError, match="write a number with a unit"):
        duration(text)


def test_a_duration_beyond_all_calendars_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than any calendar"):
        duration("99999999999999999999w")


def test_a_fixed_clock_moves_only_when_told() -> None:
    clock = FixedClock(datetime(2026, 3, 2, tzinfo=UTC))
    before = clock()
    clock.advance(timedelta(hours=1))

    assert clock() - before == timedelta(hours=1)


def test_the_machine_clock_is_aware_utc() -> None:
    assert system_clock().utcoffset() == timedelta(0)

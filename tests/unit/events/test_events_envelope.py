from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huntaze_pipeline.events.envelope import Event, faults, known_name, micros

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def event(**changes: object) -> Event:
    given = {
        "creator_id": "maya", "event_id": "e1", "name": "purchase", "fan_id": "ana",
        "occurred_at": NOON, "source": "api", "value_micros": 1, "currency": "EUR",
    }  # fmt: skip
    return Event(**(given | changes))  # pyright: ignore[reportArgumentType]


def test_a_good_event_has_no_faults() -> None:
    assert faults(event(), NOON) == []
    assert faults(event(name="custom:poll.answered", value_micros=None, currency=None), NOON) == []


def test_a_name_ends_with_its_word() -> None:
    assert known_name("custom:abc")
    assert not known_name("custom:abc\n")


def test_every_fault_is_told_with_its_place() -> None:
    bad = event(
        name="bought", fan_id="", message_id="\x00", value_micros=-1, currency="EURO",
        occurred_at=NOON + timedelta(days=1, microseconds=1),
    )  # fmt: skip
    assert [problem.where for problem in faults(bad, NOON, "events.3")] == [
        f"events.3.{name}"
        for name in ("fan_id", "message_id", "value", "currency", "occurred_at", "name")
    ]


@pytest.mark.parametrize(
    "changes",
    [{"value_micros": None}, {"currency": None}, {"occurred_at": datetime(2026, 3, 2)}],  # noqa: DTZ001
)
def test_money_needs_a_value_and_a_currency_and_a_time_needs_a_zone(changes: dict) -> None:
    assert len(faults(event(**changes), NOON)) == 1


@pytest.mark.parametrize(
    "at",
    [
        datetime(1969, 12, 31, 23, 59, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),  # before the first year in UTC
    ],
)
def test_an_instant_before_1970_is_refused_as_in_a_file(at: datetime) -> None:
    (found,) = faults(event(occurred_at=at), NOON)

    assert (found.where, found.what) == (
        "event.occurred_at", f"{at.isoformat()} is before 1970",
    )  # fmt: skip
    assert faults(event(occurred_at=datetime(1970, 1, 1, tzinfo=UTC)), NOON) == []


def test_only_the_closed_list_and_custom_words_are_names() -> None:
    assert known_name("redeemed")
    for name in ("Purchase", "custom:", "custom:A", "custom:a b", "", "custom:" + "x" * 65):
        assert not known_name(name)


@settings(deadline=None)
@given(st.integers(-(10**14), 10**14))
def test_an_amount_comes_back_exactly_from_its_decimal_text(amount: int) -> None:
    assert micros(str(Decimal(amount) / 1_000_000)) == amount


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "", "1,5", "free", "1e30", float("nan")])
def test_what_is_no_amount_is_refused(text: str | float) -> None:
    with pytest.raises(ValueError, match="no amount"):
        micros(text)

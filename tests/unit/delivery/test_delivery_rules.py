"""Validation, estimates, rollout, notes and storable words: pure rules."""

import contextlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huntaze_pipeline.delivery.estimate import slot
from huntaze_pipeline.delivery.limiter import AGING_MS, Limits, Parcel
from huntaze_pipeline.delivery.plain import storable
from huntaze_pipeline.delivery.platforms.base import Capabilities
from huntaze_pipeline.delivery.queue import decode, encode
from huntaze_pipeline.delivery.rollout import Rollout
from huntaze_pipeline.delivery.sqs import _group
from huntaze_pipeline.delivery.validation import Recipient, Request, faults

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
CAN = {
    "onlyfans": Capabilities("onlyfans", 10),
    "email": Capabilities("email", 10, subject=True),
    "instagram": Capabilities("instagram", 10, reply_window_s=86_400),
}
FAN = Recipient("fan", "acc", "addr", "active", None, True, None)


def wrong(recipient: Recipient | None = FAN, **changes: object) -> list[str]:
    request = replace(Request(recipient="fan", content="Hi"), **changes)  # type: ignore[arg-type]
    return [problem.where for problem in faults(request, recipient, CAN, NOW)]


def test_a_good_message_has_no_faults() -> None:
    assert wrong() == []
    assert wrong(platform="email", subject="Hello") == []


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"content": ""}, "content"),
        ({"content": "x" * 11}, "content"),
        ({"content": "a\x00"}, "content"),
        ({"priority": "HIGH"}, "priority"),
        ({"platform": "fax"}, "platform"),
        ({"subject": "Hello"}, "subject"),
        ({"key": ""}, "key"),
        ({"key": "k" * 256}, "key"),
        ({"send_at": datetime(2026, 3, 3)}, "sendAt"),  # noqa: DTZ001
        ({"expires_at": NOW}, "expiresAt"),
        ({"send_at": NOW + timedelta(2), "expires_at": NOW + timedelta(1)}, "expiresAt"),
    ],
)
def test_each_fault_names_its_field(changes: dict[str, object], where: str) -> None:
    assert wrong(**changes) == [where]


def test_a_recipient_that_nobody_knows_is_named() -> None:
    assert wrong(None) == ["recipientId"]


@pytest.mark.parametrize(
    "recipient",
    [
        replace(FAN, suppressed="complained"),
        replace(FAN, consent=False),
    ],
)
def test_who_does_not_want_messages_gets_none(recipient: Recipient) -> None:
    assert wrong(recipient) == ["recipientId"]


def test_no_answer_on_a_topic_is_not_a_withdrawal() -> None:
    assert wrong(replace(FAN, consent=None)) == []


def test_a_paused_account_is_named() -> None:
    assert wrong(replace(FAN, account_status="paused")) == ["accountId"]


@pytest.mark.parametrize(("age", "ok"), [(0, True), (86_400, True), (86_401, False), (None, False)])
def test_a_reply_window_counts_from_the_fans_last_message(age: int | None, ok: bool) -> None:
    last = None if age is None else NOW - timedelta(seconds=age)
    found = wrong(replace(FAN, last_inbound_at=last), platform="instagram")

    assert (found == []) is ok


@pytest.mark.parametrize(
    ("rank", "frees", "wait"),
    [(0, [], 0), (9, [], 0), (10, [], 60), (20, [], 120), (0, [5.0] * 10, 5), (9, [-3.0] * 10, 0),
     (1, [30.0, 20.0], 0), (8, [30.0, 20.0], 20), (9, [30.0, 20.0], 30), (10, [30.0], 60)],
)  # fmt: skip
def test_a_slot_follows_from_rank_and_permits_in_use(
    rank: int, frees: list[float], wait: float
) -> None:
    assert slot(rank, frees, Limits(10, 60)) == wait


@given(st.integers(0, 500), st.lists(st.floats(-100, 100), max_size=30), st.integers(1, 20))
def test_whoever_stands_behind_never_goes_earlier(
    rank: int, frees: list[float], count: int
) -> None:
    limits = Limits(count, 100)

    assert slot(rank, frees, limits) <= slot(rank + 1, frees, limits)


@given(st.text(), st.floats(0, 100), st.floats(0, 100))
def test_an_account_inside_the_rollout_stays_inside_when_it_grows(
    account: str, a: float, b: float
) -> None:
    small, large = sorted((a, b))
    assert not Rollout(True, small).inside(account) or Rollout(True, large).inside(account)


def test_the_rollout_takes_about_its_share() -> None:
    inside = sum(Rollout(True, 10).inside(f"account-{i}") for i in range(10_000))

    assert 900 < inside < 1100
    assert not Rollout(False, 100).inside("a")
    assert not Rollout(True, 0).inside("a")
    assert all(Rollout(True, 100).inside(str(i)) for i in range(1000))


def test_priority_goes_first_until_waiting_makes_up_for_it() -> None:
    high = Parcel("c", "h", "a", "high", 1000 + AGING_MS)
    old = Parcel("c", "m", "a", "medium", 999)

    assert old.score < high.score
    assert replace(high, wanted_ms=998).score < old.score


NAMES = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]))
BAND = st.sampled_from(["high", "medium", "low"])
LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
SMALL = LEAF | st.lists(LEAF, max_size=4) | st.dictionaries(st.text(max_size=3), LEAF, max_size=3)


@given(NAMES, NAMES, NAMES, BAND, st.integers(0, 2**52))
def test_a_note_reads_as_it_was_written(c: str, m: str, a: str, band: str, at: int) -> None:
    parcels = [Parcel(c, m, a, band, at), Parcel(m, c, a, band, at + 1)]

    assert decode(encode(parcels)) == parcels


@pytest.mark.parametrize(
    "body",
    ["", "null", "[]", "{}", '"x"', '{"creator_id": 1, "message_id": 2, "account_id": 3,'
     ' "priority": "high", "wanted_ms": 4}', encode([Parcel("c", "m", "a", "urgent", 1)]),
     "[" * 100_000, '{"a":' * 100_000, encode([Parcel("c", "m", "a\ud800", "high", 1)]),
     encode([Parcel("c", "m\x00", "a", "high", 1)]), encode([Parcel("c\x1e", "m", "a", "high", 1)]),
     encode([Parcel("c", "m", "a", "high", 10**30)]), encode([Parcel("c", "m", "a", "high", -1)])],
    ids=lambda body: body[:80],
)  # fmt: skip
def test_what_is_no_note_is_refused(body: str) -> None:
    with pytest.raises(ValueError):
        decode(body)


@given(LEAF, LEAF | BAND, SMALL | st.lists(SMALL, max_size=3))
def test_whatever_stands_in_a_body_it_is_a_note_or_refused(
    account: object, band: object, messages: object
) -> None:
    for whole in (messages, {"account": account, "priority": band, "messages": messages}):
        with contextlib.suppress(ValueError):
            decode(json.dumps(whole))


@pytest.mark.parametrize("account", ["maya", "über creator/1", "x" * 300, "", "\n"])
def test_a_group_is_always_one_that_sqs_takes(account: str) -> None:
    group = _group(account)

    assert 1 <= len(group) <= 128
    assert group.isascii()
    assert " " not in group


@given(
    st.recursive(
        st.text() | st.integers() | st.none(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_storable_words_can_be_written_anywhere(value: object) -> None:
    text = repr(storable({"a": ["\x00\ud800", value]}))

    assert "\\x00" not in repr(storable("a\x00"))
    assert text.encode()


@pytest.mark.parametrize(("seconds", "ms"), [(60, 60_000), (0.0001, 1), (1.0005, 1001)])
def test_a_window_is_rounded_up_to_whole_milliseconds(seconds: float, ms: int) -> None:
    assert Limits(1, seconds).window_ms == ms

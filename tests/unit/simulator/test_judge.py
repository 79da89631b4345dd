"""The judge's counts, against a count by hand."""

from hypothesis import given
from hypothesis import strategies as st

from huntaze_pipeline.local.simulator.behaviour import Limit
from huntaze_pipeline.local.simulator.judge import Judge

LIMIT = Limit(count=10, window_s=60)
gaps = st.lists(st.sampled_from([0.0, 0.5, 5.0, 6.0, 30.0, 59.999, 60.0, 61.0]), max_size=60)


def instants(steps: list[float]) -> list[float]:
    at, found = 1000.0, []
    for step in steps:
        at += step
        found.append(at)
    return found


def fullest(found: list[float], window_s: float) -> int:
    return max((sum(at - window_s < other <= at for other in found) for at in found), default=0)


def fed(found: list[float], limit: Limit) -> Judge:
    judge = Judge()
    for number, at in enumerate(found):
        account, _ = judge.arrive("onlyfans", "maya", at, limit)
        judge.rule(account, at, f"message-{number}", "accepted")
    return judge


@given(gaps, st.sampled_from([1.0, 30.0, 60.0]))
def test_the_fullest_window_is_exact(steps: list[float], window_s: float) -> None:
    found = instants(steps)
    judge = fed(found, Limit(count=10, window_s=window_s))
    assert judge.summary(window_s)["max_in_any_window"] == fullest(found, window_s)


@given(gaps, st.sampled_from([1.0, 12.0, 60.0]))
def test_another_window_is_measured_over_the_past_too(steps: list[float], window_s: float) -> None:
    found = instants(steps)
    judge = fed(found, LIMIT)
    judge.measure("onlyfans", window_s)
    assert judge.summary(window_s)["max_in_any_window"] == fullest(found, window_s)


@given(gaps)
def test_an_account_is_banned_exactly_when_a_window_overflows(steps: list[float]) -> None:
    found = instants(steps)
    assert fed(found, LIMIT).summary(60)["bans"] == (fullest(found, 60) > 10)


def test_ten_in_a_minute_and_the_eleventh_at_sixty_seconds_is_within_the_limit() -> None:
    judge = fed([0.0] * 10 + [60.0], LIMIT)
    assert judge.summary(60)["bans"] == 0


def test_the_eleventh_a_moment_earlier_is_a_ban() -> None:
    judge = fed([0.0] * 10 + [59.999], LIMIT)
    assert judge.summary(60)["bans"] == 1


def test_refused_arrivals_fill_the_window_like_all_others() -> None:
    judge = Judge()
    for number in range(12):
        account, count = judge.arrive("email", "maya", 5.0, Limit(ban=False))
        judge.rule(account, 5.0, f"m{number}", "refused")
    assert count == 12
    summary = judge.summary(60)
    assert (summary["max_in_any_window"], summary["refused"], summary["accepted"]) == (12, 12, 0)


def test_a_message_that_arrives_twice_is_one_duplicate_on_whatever_account() -> None:
    judge = Judge()
    for name in ("maya", "noor", "maya"):
        account, _ = judge.arrive("tiktok", name, 1.0, LIMIT)
        judge.rule(account, 1.0, "the message", "accepted")
    summary = judge.summary(60)
    assert (summary["accepted"], summary["unique_messages"], summary["duplicates"]) == (3, 1, 2)


def test_minutes_count_from_the_first_arrival() -> None:
    judge = fed([500.0, 559.9, 560.0, 700.0], LIMIT)
    minutes = judge.summary(60)["per_minute"]
    assert [(m["minute"], m["arrivals"]) for m in minutes] == [(0, 2), (1, 1), (3, 1)]


def test_the_same_name_on_two_platforms_is_two_accounts() -> None:
    judge = Judge()
    for platform in ("email", "tiktok"):
        judge.arrive(platform, "maya", 1.0, LIMIT)
    assert judge.summary(60)["accounts"] == 2
    assert [known["platform"] for known in judge.account("maya")] == ["email", "tiktok"]

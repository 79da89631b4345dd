"""Settings of the limiter that would break its promise, each refused by its name."""

from typing import Any

import pytest
import redis
import redis.asyncio

from huntaze_pipeline.delivery.limiter import Limits
from huntaze_pipeline.delivery.ratelimiter import RateLimiter

NAN, INF = float("nan"), float("inf")
USUAL = Limits(10, 60)


def limiter(limits: Any = USUAL, **settings: Any) -> RateLimiter:
    return RateLimiter(redis.Redis(port=1), limits, **settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [("lease_s", value) for value in (0, -1, -100, NAN, INF, "30", None, True)]
    + [("longest_s", value) for value in (0, -1, NAN, INF, "60")]
    + [("shards", value) for value in (0, -2, 1.5, "4", None, True)],
)
def test_a_setting_that_cannot_be_used_is_named_with_its_value(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} must be .*, not {value!r}"):
        limiter(**{name: value})


@pytest.mark.parametrize("count", [-1, "a", 1.5, NAN, None, True])
def test_a_count_is_a_whole_number(count: Any) -> None:
    with pytest.raises(ValueError, match=r"limits\.count must be a whole number from 0 up"):
        limiter(Limits(count, 60))


@pytest.mark.parametrize("window_s", [0, -5, NAN, INF, 1e12, "60", None])
def test_a_window_is_a_time(window_s: Any) -> None:
    with pytest.raises(ValueError, match=r"limits\.window_s must be seconds"):
        limiter(Limits(10, window_s))


def test_claims_rest_no_shorter_than_a_window() -> None:
    with pytest.raises(ValueError, match=r"longest_s must be .* 120 s or more, not 1"):
        limiter(Limits(10, 120), longest_s=1)


@pytest.mark.parametrize(("window_s", "rest"), [(5, 60), (60, 60), (120, 120)])
def test_claims_rest_as_long_as_a_fixed_window_that_is_longer(window_s: int, rest: int) -> None:
    assert limiter(Limits(10, window_s), lease_s=30)._rest_ms == (rest + 30) * 1000


def test_an_account_may_make_no_calls_at_all() -> None:
    assert limiter(Limits(0, 60))


def test_a_client_that_turns_answers_into_text_is_refused() -> None:
    client = redis.Redis.from_url("redis://127.0.0.1:1", decode_responses=True)

    with pytest.raises(ValueError, match="client must be made without decode_responses=True"):
        RateLimiter(client, USUAL)


@pytest.mark.parametrize("client", [redis.asyncio.Redis(port=1), None])
def test_a_client_that_must_be_awaited_or_is_none_is_refused(client: Any) -> None:
    with pytest.raises(ValueError, match=r"client must be a redis\.Redis, not "):
        RateLimiter(client, USUAL)


@pytest.mark.parametrize("limits", [None, (10, 60), 10])
def test_limits_of_another_kind_are_refused_at_once(limits: Any) -> None:
    with pytest.raises(ValueError, match=r"limits must be Limits\(count, window_s\), not "):
        limiter(limits)

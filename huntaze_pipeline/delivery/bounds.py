"""What the settings of a `RateLimiter` may be: a wrong one is named, with what would be right.

A limiter with a lease of nothing, or a window longer than it rests for, would grant too much
without a word.
"""

from collections.abc import Callable
from typing import Any

import redis
import redis.asyncio

from huntaze_pipeline.delivery.limiter import Limits

USUAL_S = 60.0
_SHORTEST_S, _LONGEST_S = 0.001, 1e9
"""Redis counts whole milliseconds, in 48 bits."""


def seconds(name: str, value: Any) -> float:
    """Return a duration that windows can be counted with.

    Raises:
        ValueError: it is none.
    """
    if not _is_number(value, (int, float)) or not _SHORTEST_S <= value <= _LONGEST_S:
        raise ValueError(f"{name} must be seconds, from 0.001 to 1e9, not {value!r}")
    return value


def whole(name: str, value: Any, least: int) -> int:
    """Return a whole number.

    Raises:
        ValueError: it is none, or too small.
    """
    if not _is_number(value, int) or value < least:
        raise ValueError(f"{name} must be a whole number from {least} up, not {value!r}")
    return value


def limit(value: Limits, longest_s: float) -> Limits:
    """Return limits whose window claims rest for when Redis's memory is in doubt.

    Raises:
        ValueError: the count or the window cannot be used, or the window is longer.
    """
    whole("limits.count", value.count, 0)
    window_s = seconds("limits.window_s", value.window_s)
    if window_s > longest_s:
        raise ValueError(
            f"longest_s must be the longest window in use, {window_s:g} s or more,"
            f" not {longest_s:g}"
        )
    return value


def longest(limits: Limits | Callable[[str], Limits], longest_s: float | None) -> float:
    """Return how long claims rest: as long as was said, else 60 s, or a fixed window if longer.

    Raises:
        ValueError: it, or the fixed limits, cannot be used.
    """
    fixed = None if callable(limits) else _kind(limits)
    if longest_s is None:
        longest_s = max(USUAL_S, seconds("limits.window_s", fixed.window_s) if fixed else 0)
    rest = seconds("longest_s", longest_s)
    if fixed:
        limit(fixed, rest)
    return rest


def binary(client: redis.Redis) -> redis.Redis:
    """Return a client that gives bytes, as the scripts answer.

    Raises:
        ValueError: it is none, it turns answers into text, or it has to be awaited.
    """
    if isinstance(client, redis.asyncio.Redis) or not hasattr(client, "connection_pool"):
        kind = f"{type(client).__module__}.{type(client).__name__}"
        raise ValueError(f"client must be a redis.Redis, not {kind}; acquire_async takes one too")
    if client.connection_pool.connection_kwargs.get("decode_responses"):
        raise ValueError("client must be made without decode_responses=True")
    return client


def _kind(value: Any) -> Limits:
    if not isinstance(value, Limits):
        raise ValueError(f"limits must be Limits(count, window_s), not {value!r}")
    return value


def _is_number(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)

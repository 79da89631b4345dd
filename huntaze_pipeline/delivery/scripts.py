"""Lua scripts in Redis: loaded from the package, run many at once in one round trip."""

from collections.abc import Hashable, Mapping, Sequence
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError
from redis.retry import Retry

from huntaze_pipeline.errors import ServiceError
from huntaze_pipeline.settings import Settings

_K = TypeVar("_K", bound=Hashable)
Call = tuple[Sequence[str], Sequence[Any]]
"""Keys and arguments."""


def connect(settings: Settings, *, timeout_s: float = 2.0) -> redis.Redis:
    """Open Redis without silent retries: a lost connection may mean a lost memory.

    Raises:
        ServiceError: REDIS_URL is not set.
    """
    if settings.redis_url is None:
        raise ServiceError("REDIS_URL is not set and no embedded stack is running")
    return redis.Redis.from_url(
        settings.redis_url.get_secret_value(),
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
    )


@cache
def text(*names: str) -> str:
    """Return the files `lua/<name>.lua`, one after the other."""
    folder = files("huntaze_pipeline.delivery") / "lua"
    return "".join((folder / f"{name}.lua").read_text() for name in names)


@cache
def _digest(script: str) -> str:
    return sha1(script.encode(), usedforsecurity=False).hexdigest()


def run(client: redis.Redis, script: str, calls: Mapping[_K, Call]) -> dict[_K, Any]:
    """Run one script once for each entry, all in one round trip; load it where it is missing.

    Raises:
        RedisError: the first that any of the calls met.
    """
    answers = _send(client, script, calls)
    missing = [key for key, answer in answers.items() if isinstance(answer, NoScriptError)]
    if missing:
        client.script_load(script)
        answers |= _send(client, script, {key: calls[key] for key in missing})
    for answer in answers.values():
        if isinstance(answer, Exception):
            raise answer
    return answers


def _send(client: redis.Redis, script: str, calls: Mapping[_K, Call]) -> dict[_K, Any]:
    pipe = client.pipeline(transaction=False)
    for keys, arguments in calls.values():
        pipe.evalsha(_digest(script), len(keys), *keys, *arguments)
    return dict(zip(calls, pipe.execute(raise_on_error=False), strict=True))

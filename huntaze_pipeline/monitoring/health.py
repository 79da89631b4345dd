"""Is each server that Huntaze needs there? An answer is a value and holds no secret."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from sqlalchemy import text

from huntaze_pipeline.delivery.queue import Queue
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.session import Store

TIMEOUT_S = 2.0
NEEDED = ("postgres",)
"""Without these no request can be served; the others only slow sending down."""


@dataclass(frozen=True, slots=True)
class Check:
    """What one server answered."""

    ok: bool
    detail: str
    milliseconds: float


def check(settings: Settings, queue: Queue | None) -> dict[str, Check]:
    """Ask every server at the same time; a silent one is given up after a few seconds.

    Args:
        settings: where PostgreSQL and Redis are.
        queue: SQS; a `hurried` one, or a silent SQS holds the answer up.
    """
    probes: Mapping[str, Callable[[], str]] = {
        "postgres": lambda: _postgres(settings),
        "redis": lambda: _redis(settings),
        "sqs": lambda: _sqs(queue),
    }
    with ThreadPoolExecutor(len(probes)) as pool:
        answers = {name: pool.submit(_timed, probe) for name, probe in probes.items()}
        return {name: answer.result() for name, answer in answers.items()}


def ready(checks: Mapping[str, Check]) -> bool:
    """Say whether requests can be served."""
    return all(checks[name].ok for name in NEEDED)


def status(checks: Mapping[str, Check]) -> str:
    """Return `ok`, `degraded` (it works, with less) or `down`."""
    if not ready(checks):
        return "down"
    return "ok" if all(c.ok for c in checks.values()) else "degraded"


def _timed(probe: Callable[[], str]) -> Check:
    began = time.monotonic()
    try:
        ok, detail = True, probe()
    except Exception as error:  # any answer but a good one is a finding, not a failure of ours
        # The error's text may hold an address with its password: its kind is enough here.
        ok, detail = False, f"does not answer ({type(error).__name__})"
    return Check(ok, detail, round((time.monotonic() - began) * 1000, 1))


def _postgres(settings: Settings) -> str:
    # Over a connection of its own: an old one waits for as long as a paused server is silent.
    with Store(settings, pooled=False).worker() as connection:
        connection.execute(text("set local statement_timeout = '2s'"))
        connection.execute(text("select 1 from creators limit 1"))
    return "answers"


def _redis(settings: Settings) -> str:
    import redis

    if settings.redis_url is None:
        raise LookupError
    with redis.Redis.from_url(
        settings.redis_url.get_secret_value(),
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
    ) as client:
        client.ping()
    return "answers"


def _sqs(queue: Queue | None) -> str:
    if queue is None:
        raise LookupError
    return f"answers; {sum(depth.waiting for depth in queue.depths())} notes wait"

"""Staying up: blocking work in threads, growing waits while a service is away, rebuilds.

A service that is away pauses what needs it and nothing else. A fault of ours is never waited out.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from redis.exceptions import RedisError
from sqlalchemy.exc import InterfaceError, OperationalError

from huntaze_pipeline.delivery.limiter import LostError, StepError
from huntaze_pipeline.delivery.outfit import Parts
from huntaze_pipeline.delivery.shards import ChangedServerError
from huntaze_pipeline.errors import ServiceError, StoreError

AWAY = (RedisError, OperationalError, InterfaceError, ServiceError, StoreError)
"""What a service that is away looks like. Anything else is a fault of ours and stops the sender."""
LOST = (LostError, ChangedServerError)
"""The limiter's memory is not the one that the books know."""
CLOSE_S = 2.0
"""Work that takes longer is stuck at a service that is away."""
_T = TypeVar("_T")


class Stamina:
    """Does blocking work for one sender until it succeeds."""

    def __init__(self, parts: Parts, threads: int, lease_s: float) -> None:
        self._parts = parts
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="sender")
        self._under_way: set[Future[Any]] = set()
        self._lease_s = lease_s
        self._recovering = asyncio.Lock()

    async def run(self, work: Callable[..., _T], *args: Any, **kwargs: Any) -> _T:
        """Do blocking work once, in a thread."""
        begun = self._threads.submit(partial(work, *args, **kwargs))
        self._under_way.add(begun)
        begun.add_done_callback(self._under_way.discard)
        return await asyncio.wrap_future(begun)

    async def listen(self, work: Callable[..., None], *args: Any) -> None:
        """Do work in a thread that nobody waits for at the end: it only hears, for a while yet."""
        await asyncio.get_running_loop().run_in_executor(self._threads, partial(work, *args))

    async def steady(self, what: str, work: Callable[..., _T], *args: Any, **kwargs: Any) -> _T:
        """Do blocking work; while a service is away, wait longer and longer and try again."""
        failures = 0
        while True:
            try:
                return await self.run(work, *args, **kwargs)
            except StepError as error:
                self._parts.journal.pause(what, error)
                await asyncio.sleep(1.0)
            except LOST as error:
                self._parts.journal.pause(what, error)
                await self.recover()
            except AWAY as error:
                failures += 1
                self._parts.journal.pause(what, error)
                if self._parts.limiter.overdue and not self._parts.limiter.away:
                    await self.recover()
                await asyncio.sleep(growing(failures))

    async def recover(self) -> None:
        """Use the limiter that all senders use, rebuilt if need be; one at a time."""
        failures = 0
        p = self._parts
        async with self._recovering:
            while True:
                try:
                    news = await self.run(p.limiter.agree, lease_s=self._lease_s)
                except AWAY as error:
                    failures += 1
                    p.journal.pause("adopt", error)
                    await asyncio.sleep(growing(failures))
                    continue
                if news:
                    p.journal.note(news)
                return

    async def close(self) -> bool:
        """Let the threads end what they do: afterwards their connections may be closed.

        Returns:
            Whether all did; one that waits for a silent server may wait for ever.
        """
        self._threads.shutdown(wait=False, cancel_futures=True)
        left = [asyncio.wrap_future(begun) for begun in list(self._under_way)]
        if not left:
            return True
        done, stuck = await asyncio.wait(left, timeout=CLOSE_S)
        for ended in done:
            if not ended.cancelled():
                ended.exception()  # nobody else is there to be told
        return not stuck


def growing(failures: int) -> float:
    """Return the wait after a number of failures in a row: from 0.2 s, doubling, at most 5 s."""
    return min(5.0, 0.1 * 2 ** min(failures, 10))

"""E-mail: the letter is written here and given to SMTP or SES in a thread of its own pool.

Neither can be asked about a message afterwards, so a lost answer is left to a person.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from huntaze_pipeline.clock import Clock, system_clock
from huntaze_pipeline.delivery.platforms.base import Capabilities, Kind, Outcome, Outgoing
from huntaze_pipeline.delivery.platforms.letter import Letter, Letterhead, compose

CAPABILITIES = Capabilities("email", max_length=100_000, subject=True, unknown="park")
_THREADS = 32
_GRACE_S = 0.25
"""The thread's own deadline comes first and knows more about what happened."""


class Carrier(Protocol):
    """What takes letters: an SMTP pool or SES."""

    def send(self, letter: Letter, deadline: float) -> Outcome:
        """Send one letter before a monotonic instant."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...


class Email:
    """E-mail for all accounts."""

    capabilities = CAPABILITIES

    def __init__(self, carrier: Carrier, head: Letterhead, *, clock: Clock = system_clock) -> None:
        self._carrier = carrier
        self._head = head
        self._clock = clock
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="email")

    async def send(self, message: Outgoing, *, timeout_s: float) -> Outcome:
        """Send one message; the time-out bounds the whole call."""
        try:
            letter = compose(message, self._head, self._clock())
        except ValueError as error:
            return Outcome(Kind.REFUSED, detail=str(error))
        task = _Task(self._carrier.send, letter, time.monotonic() + timeout_s)
        waiting = asyncio.get_running_loop().run_in_executor(self._threads, task)
        try:
            async with asyncio.timeout(timeout_s + _GRACE_S):
                return await waiting
        except TimeoutError:
            return task.outcome()

    async def look_up(self, message: Outgoing, *, timeout_s: float) -> Outcome:
        """E-mail cannot be asked."""
        return Outcome(Kind.UNKNOWN, detail="e-mail cannot be asked whether it was accepted")

    async def close(self) -> None:
        """Release connections and threads."""
        self._carrier.close()
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Task:
    """One letter on its way to a thread; knows whether the thread has begun."""

    def __init__(
        self, send: Callable[[Letter, float], Outcome], letter: Letter, deadline: float
    ) -> None:
        self._send, self._letter, self._deadline = send, letter, deadline
        self._begun = False

    def __call__(self) -> Outcome:
        """Send it, unless its time is over."""
        if time.monotonic() >= self._deadline:
            return Outcome(Kind.RETRY, detail="time-out before the letter was written")
        self._begun = True
        return self._send(self._letter, self._deadline)

    def outcome(self) -> Outcome:
        """Say what a time-out means."""
        if self._begun:
            return Outcome(Kind.UNKNOWN, detail="time-out while the letter was being sent")
        return Outcome(Kind.RETRY, detail="time-out before the letter was written")

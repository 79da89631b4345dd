"""The sender's way in: SQS notes to account queues, each received once; the relay, when asked.

Runs in threads, for long polls block. Not here: claiming and calling (`sender`).
"""

import threading
import time
from contextlib import suppress

from huntaze_pipeline.delivery import epoch, relay
from huntaze_pipeline.delivery.outfit import Options, Parts
from huntaze_pipeline.delivery.queue import Queue
from huntaze_pipeline.delivery.stamina import AWAY, LOST, growing

RECALL_S = 15
"""Rows that may have lost their note are looked for at most this often, by one sender at a time."""


class Intake:
    """Fills the account queues until it is told to halt."""

    def __init__(self, parts: Parts, options: Options, halt: threading.Event) -> None:
        self._p = parts
        self._o = options
        self._halt = halt
        self._ringing = False

    def receive(self, band: str, queue: Queue) -> None:
        """Park what SQS rings for, then delete it; a crash in between parks it again, no more."""
        failures, doubtful = 0, band == "medium"
        while not self._halt.is_set():
            try:
                received = queue.receive(band, wait_s=self._o.long_poll_s)
                if received:
                    self._p.direct.park([parcel for item in received for parcel in item.parcels])
                    queue.delete(band, received)
                doubtful = band == "medium" and (doubtful or self._p.limiter.away)
                doubtful = doubtful and not self._recalled()
                failures = 0
            except (*AWAY, *LOST) as error:
                failures += 1
                doubtful = band == "medium"
                self._p.journal.pause(f"receive {band}", error)
                self._halt.wait(growing(failures))

    def publish(self) -> None:
        """Ring for due decisions, as `huntaze relay` does."""
        failures = 0
        while not self._halt.is_set():
            began = time.monotonic()
            try:
                self._ringing = True
                moved, failures = self._ring(), 0
            except AWAY as error:
                failures += 1
                self._p.journal.pause("relay", error)
                moved = 0
            finally:
                self._ringing = False
            if not moved:
                spent = time.monotonic() - began
                self._halt.wait(growing(failures) if failures else max(0, self._o.poll_s - spent))

    def overtake(self) -> None:
        """While a long batch is being rung for, ring for high messages that came meanwhile."""
        while not self._halt.wait(self._o.poll_s):
            if self._ringing:
                with suppress(*AWAY):  # `publish` meets it too, and waits
                    self._ring(urgent=True)

    def _ring(self, *, urgent: bool = False) -> int:
        p = self._p
        return relay.publish(
            p.store, p.queue, p.clock(), limit=2000, direct=p.direct, rollout=p.rollout,
            urgent=urgent,
        )  # fmt: skip

    def _recalled(self) -> bool:
        """Park queued rows whose notes were lost while SQS, or every sender, was away."""
        p = self._p
        if not p.limiter.turn("recall", p.worker, RECALL_S):
            return False
        epoch.repark(p.store, p.limiter.redis, p.directory)
        return True

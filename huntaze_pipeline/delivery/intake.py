"""The sender's way in: SQS notes to account queues, each received once.

Runs in threads, for long polls block. Not here: claiming and calling (`sender`); ringing
(`ringing`).
"""

import threading
from datetime import datetime

from huntaze_pipeline.delivery import epoch
from huntaze_pipeline.delivery.outfit import Options, Parts
from huntaze_pipeline.delivery.queue import Queue
from huntaze_pipeline.delivery.stamina import AWAY, LOST, growing

RECALL_S = 15
"""Rows that may have lost their note are looked for at most this often, by one sender at a time."""


class Intake:
    """Fills the account queues until it is told to halt."""

    def __init__(
        self, parts: Parts, options: Options, halt: threading.Event, urgent: threading.Event
    ) -> None:
        """Fill them.

        Args:
            parts: what the sender is made of.
            options: how it works.
            halt: ends it.
            urgent: is set when high messages were parked.
        """
        self._urgent = urgent
        self._p = parts
        self._o = options
        self._halt = halt

    def receive(self, band: str, queue: Queue) -> None:
        """Park what SQS rings for, then delete it; a crash in between parks it again, no more."""
        failures, doubtful = 0, self._p.clock() if band == "medium" else None
        while not self._halt.is_set():
            try:
                received = queue.receive(band, wait_s=self._o.long_poll_s)
                if received:
                    self._p.direct.park([parcel for item in received for parcel in item.parcels])
                    if band == "high":
                        self._urgent.set()
                    queue.delete(band, received)
                if band == "medium" and self._p.limiter.away:
                    doubtful = self._p.clock()
                if doubtful and self._recalled(doubtful):
                    doubtful = None
                failures = 0
            except (*AWAY, *LOST) as error:
                failures += 1
                doubtful = self._p.clock() if band == "medium" else None
                self._p.journal.pause(f"receive {band}", error)
                self._halt.wait(growing(failures))

    def _recalled(self, before: datetime) -> bool:
        """Park queued rows whose notes were lost while SQS, or every sender, was away."""
        p = self._p
        if not p.limiter.turn("recall", p.worker, RECALL_S):
            return False
        epoch.repark(p.store, p.limiter.redis, p.directory, before)
        return True

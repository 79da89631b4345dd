"""The relay's loop: rings SQS for due decisions, again and again, until it is told to halt.

Two threads: one rings for everything that is due, the other lets high messages overtake while the
first is busy with hundreds of low ones. Not here: one turn of it (`relay`).
"""

import threading
import time
from contextlib import suppress

from huntaze_pipeline.delivery import relay
from huntaze_pipeline.delivery.outfit import Parts
from huntaze_pipeline.delivery.stamina import AWAY, growing

TURN = 2000
"""Rows a turn: few, so that the first ones go soon."""
FULL = 12_000
"""Rows per turn while there are more, many of each account: a full note costs no more."""
SET_S = 15.0
"""How often the clock is set."""


class Ringing:
    """Publishes with what a sender or a relay is made of."""

    def __init__(self, parts: Parts, halt: threading.Event, poll_s: float) -> None:
        self._p = parts
        self._halt = halt
        self._poll_s = poll_s
        self._busy = False
        self._size = TURN
        self._set_at: float | None = None
        self.moved = 0
        """Messages that are on their way because of it."""

    def publish(self) -> None:
        """Ring for what is due; a service that is away is waited for with growing pauses."""
        failures = 0
        while not self._halt.is_set():
            began = time.monotonic()
            try:
                self._busy = True
                moved, failures = self.turn(), 0
                self._size = TURN if moved < self._size else FULL
            except AWAY as error:
                failures += 1
                self._p.journal.pause("relay", error)
                moved = 0
            finally:
                self._busy = False
            if not moved:
                spent = time.monotonic() - began
                self._halt.wait(growing(failures) if failures else max(0, self._poll_s - spent))

    def overtake(self) -> None:
        """While a long batch is being rung for, ring for high messages that came meanwhile."""
        while not self._halt.wait(self._poll_s):
            if self._busy:
                with suppress(*AWAY):  # `publish` meets it too, and waits
                    self.turn(urgent=True)

    def turn(self, *, urgent: bool = False) -> int:
        """Ring once; return for how many messages."""
        p = self._p
        self._set_clock()
        moved = relay.publish(
            p.store, p.queue, p.clock(), limit=self._size, direct=p.direct,
            rollout=p.rollout, urgent=urgent,
        )  # fmt: skip
        self.moved += moved
        return moved

    def _set_clock(self) -> None:
        now = time.monotonic()
        if self._set_at is None or now - self._set_at > SET_S:
            self._p.set_clock()
            self._set_at = now

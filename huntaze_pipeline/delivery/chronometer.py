"""One time for all senders: the database's, known without asking it for every message.

Instants that outlive a process (when a message was sent, when it may be tried again) are compared
with others' instants, so a machine whose clock is wrong must not put its own into the books. Not
here: the limiter's time, which is Redis's own.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from huntaze_pipeline.clock import Clock, system_clock

LONGEST_S = 1.0
"""An answer that took longer is believed only when there is no better: half of it may be error."""


class Chronometer:
    """A clock that is set by PostgreSQL's and goes on by this machine's count of seconds.

    Until it is first set it shows the machine's own time. Jumps of the machine's clock do not move
    it; how far it is off afterwards is half of a round trip, and what the two drift apart until it
    is set again.
    """

    def __init__(
        self, own: Clock = system_clock, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin unset.

        Args:
            own: the machine's clock.
            seconds: counts on, whatever is done to the clock.
        """
        self._own = own
        self._seconds = seconds
        self._set: tuple[datetime, float] | None = None

    def __call__(self) -> datetime:
        """Return the instant that the database's clock shows now."""
        if self._set is None:
            return self._own()
        shown, then = self._set
        return shown + timedelta(seconds=self._seconds() - then)

    def set(self, ask: Clock) -> None:
        """Set it by another clock, such as `database_time`."""
        began = self._seconds()
        shown = ask()
        took = self._seconds() - began
        if took <= LONGEST_S or self._set is None:
            self._set = (shown, began + took / 2)


def database_time(connection: Connection) -> datetime:
    """Ask the database what time it is, not when the transaction began."""
    return connection.execute(text("select clock_timestamp()")).scalar_one()

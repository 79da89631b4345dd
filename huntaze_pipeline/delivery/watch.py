"""Watching Redis's clock with our own: a jump forward would make windows end too early."""

import time

GUARD_S = 5.0
"""A jump of Redis's clock beyond this grants nothing; longer than any call may take."""
TREMOR_S = 0.5
"""A jump beyond this, against our monotonic clock, is seen in the answer: its grants go back."""


class Watch:
    """What one process has seen of Redis's clock."""

    def __init__(self) -> None:
        self.baseline: tuple[int, float] | None = None
        """Milliseconds that Redis showed, and our monotonic clock when we asked."""

    def latest(self) -> int:
        """Return the latest instant that Redis may believably show, or 0 without a baseline."""
        if self.baseline is None:
            return 0
        shown, at = self.baseline
        return shown + round((time.monotonic() - at + GUARD_S) * 1000)

    def jumped(self, shown: int, asked: float) -> bool:
        """Take note of an answer; whether the clock has jumped since the one before."""
        before, self.baseline = self.baseline, (shown, asked)
        if before is None:
            return False
        return shown - before[0] > (time.monotonic() - before[1] + TREMOR_S) * 1000

    def forget(self) -> None:
        """Start again: the clock jumped, or another server answers."""
        self.baseline = None

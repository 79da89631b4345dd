"""The wall clocks of the workers: each may be put ahead of the machine's, as one that is set is.

A file a worker says by how much, and its process looks there whenever it asks for the time. What
counts seconds (`time.monotonic`) goes on as it did, here as on a real machine.
"""

from datetime import datetime, timedelta
from pathlib import Path

from huntaze_pipeline.clock import Clock, system_clock


class Clocks:
    """The clocks of one run, in a folder that all its processes see."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, worker: str, seconds: float) -> None:
        """Let a worker's clock jump: from now on it is ahead by so much."""
        self._folder.mkdir(exist_ok=True)
        self._place(worker).write_text(str(seconds))

    def right(self, worker: str) -> None:
        """Let a worker's clock show what the machine's does."""
        self._place(worker).unlink(missing_ok=True)

    def of(self, worker: str) -> Clock:
        """Return what a worker takes for the time."""

        def show() -> datetime:
            return system_clock() + timedelta(seconds=self._ahead(worker))

        return show

    def _ahead(self, worker: str) -> float:
        try:
            return float(self._place(worker).read_text() or 0)
        except FileNotFoundError:
            return 0.0

    def _place(self, worker: str) -> Path:
        return self._folder / worker

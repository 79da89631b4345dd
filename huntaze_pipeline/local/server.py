"""One embedded server's life: start, wait until it answers, start again when it died.

What PostgreSQL, Valkey or the SQS server need is their recipe's business (`postgres`, `redis`,
`sqs`).
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from huntaze_pipeline.clock import system_clock
from huntaze_pipeline.errors import ServiceError
from huntaze_pipeline.local import ports
from huntaze_pipeline.local.folder import State, tail
from huntaze_pipeline.local.process import Child, Launch, Watcher

START_S = 120.0
"""How long a server may take until it answers; PostgreSQL may have a crash to recover from."""
PAUSES_S = (0.1, 0.5, 1.0)
"""Before the 1st, 2nd, … restart in a row; after the last it has failed."""
REST_S = 10.0
"""A server that once ran and then failed is tried again this often."""
STABLE_S = 60.0


class Recipe(Protocol):
    """What is particular about one kind of server."""

    name: str
    log: Path

    def launch(self, port: int) -> Launch:
        """Prepare its data and say how to start it.

        Raises:
            ServiceError: it cannot be started on this machine.
        """
        ...

    def ready(self, port: int, pid: int) -> bool:
        """Say whether the process answers requests."""
        ...

    def version(self) -> str:
        """Return what it calls itself."""
        ...


class Server:
    """A server that is kept running. `tick` must be called often; it never blocks for long."""

    def __init__(
        self,
        recipe: Recipe,
        watcher: Watcher,
        port: int | None = None,
        *,
        patient: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.recipe = recipe
        self.status = "stopped"
        """stopped | starting | running | waiting | failed"""
        self.port = port
        self.error: str | None = None
        self._watcher = watcher
        self._patient = patient
        """Whether to go on trying one that has never run."""
        self._clock = clock
        self._child: Child | None = None
        self._since: str | None = None
        self._version: str | None = None
        self._began = self._due = 0.0
        self._falls = 0

    @property
    def settled(self) -> bool:
        """Whether it either runs or has failed for good."""
        return self.status in ("running", "failed")

    def want(self) -> None:
        """Start it unless it is on its way."""
        if self.status in ("stopped", "failed"):
            self._falls = 0
            self._begin()

    def tick(self) -> bool:
        """Take the next step; say whether anything changed."""
        before = self.status, self.port
        if self._child is not None and self._child.code is not None:
            self._ended(self._child)
        elif self.status == "starting":
            self._look()
        elif self._clock() >= self._due and (
            self.status == "waiting" or (self.status == "failed" and (self._since or self._patient))
        ):
            self._begin()
        return (self.status, self.port) != before

    def ask(self) -> None:
        """Ask it to stop; `join` waits for it."""
        if self._child is not None:
            self._child.ask(self._child.launch.stop[0])

    def join(self, grace_s: float = 8.0) -> None:
        """Wait until it and its children have ended; force them after the grace."""
        if self._child is not None:
            self._child.join(grace_s)
            self._child = None
        self.status = "stopped"

    def report(self) -> State:
        """Return what the state file says of it."""
        return {
            "status": self.status,
            "port": self.port,
            "pid": self._child.pid if self._child else None,
            "since": self._since,
            "version": self._version,
            "error": self.error,
        }

    def _begin(self) -> None:
        self.error = None
        if self._falls == 0 or self.port is None:
            self.port = ports.choose(self.port)
        self._began = self._clock()
        try:
            self._version = self._version or self.recipe.version()
            self._child = Child(self.recipe.launch(self.port), self._watcher)
        except (ServiceError, OSError) as error:
            self._fail(str(error))
        else:
            self.status = "starting"

    def _look(self) -> None:
        assert self._child is not None
        assert self.port is not None
        if self.recipe.ready(self.port, self._child.pid):
            self.status = "running"
            self._since = system_clock().isoformat(timespec="seconds")
        elif self._clock() - self._began > START_S:
            self._child.stop()
            self._fail(f"did not answer within {START_S:.0f} s")

    def _ended(self, child: Child) -> None:
        """It died: start again after a pause, on the same port if it can be, or give up for now."""
        child.join(0)
        self._child = None
        if self.status == "starting" and not ports.bindable(self.port or 0):
            self.port = None  # somebody took it between the choice and the bind
        stable = self.status == "running" and self._clock() - self._began > STABLE_S
        self._falls = 1 if stable else self._falls + 1
        if self._falls > len(PAUSES_S):
            self._fail(f"ended with code {child.code}, {self._falls} times in a row")
        else:
            self.status = "waiting"
            self._due = self._clock() + PAUSES_S[self._falls - 1]

    def _fail(self, reason: str) -> None:
        self.status, self._child, self._falls = "failed", None, 0
        self._due = self._clock() + REST_S
        last = f"\n{tail(self.recipe.log)}" if self.recipe.log.exists() else ""
        self.error = f"{self.recipe.name} could not be started: {reason}{last}"

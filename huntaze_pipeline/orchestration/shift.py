"""Work that goes on between two ticks of a sensor, as long as ticks keep coming (law 10).

Dagster looks at its sensors every five seconds and a tick costs more than what it has to do: what
arrives between two ticks would wait, and what arrives while all of them begin or end would as well.
So the first tick hands its loop to a thread, watches it for a second and leaves it running; the
ones behind it ask what it has done, and let it go on until some time after the next is due. Plans,
connections and caches stay warm, and no run is launched. Every piece of work must be idempotent:
one that dies after writing is repeated. A sensor that is switched off stops within `linger`
seconds. An error of the work is the error of the tick that finds it, and the loop begins anew
without waiting for another.
"""

import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

EVERY_S = 30
"""How often a sensor whose loop goes on is ticked: each tick costs what a hundred events cost, and
all sensors are ticked together."""
LINGER_S = 1.5 * EVERY_S
"""On a busy machine a tick is late."""
AGAIN_S = 1.0
"""How long a loop waits after an error."""
FRESH_S = 60.0
"""After so long a loop opens anew what it holds, which may have read limits and settings."""
SWITCH_S = 0.0005
"""How long a thread of this process may keep the interpreter while another waits for it. A round
gives it up some sixty times, whenever it waits for a database; at Python's own 5 ms it would wait
as often for whatever other sensors do."""
Work = Callable[[], int]
Tell = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Drained:
    """What was done between two reports."""

    done: int
    rounds: int


@dataclass(frozen=True)
class Job:
    """What one tick wants done until the next one comes."""

    opened: Callable[[], AbstractContextManager[Any]]
    """Opens what the loop holds while it runs: the lake."""
    work: Callable[[Any, Tell], Work]
    """Makes the loop's work of that; it may have read new policies each time."""


@dataclass
class _Loop:
    """The thread of one sensor."""

    job: Job
    until: float
    pause_s: float
    alone: bool = False
    """The tick that began it waits for its end."""
    done: int = 0
    rounds: int = 0
    told: list[str] = field(default_factory=list)
    error: BaseException | None = None
    thread: threading.Thread | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        """Work until nobody asks for it any more."""
        while time.monotonic() < self.until:
            try:
                with self.job.opened() as held:
                    self._stay(held, time.monotonic() + FRESH_S)
            except Exception as error:
                with self.lock:
                    self.error = error
                if self.alone:
                    return
                time.sleep(AGAIN_S)

    def _stay(self, held: Any, fresh: float) -> None:
        """Work with what is open, by what the newest tick wants done."""
        job, work = None, None
        while time.monotonic() < min(self.until, fresh):
            if job is not self.job or work is None:
                job = self.job
                work = job.work(held, self.told.append)
            self._count(work())

    def _count(self, size: int) -> None:
        with self.lock:
            self.done, self.rounds = self.done + size, self.rounds + 1
        if size == 0:
            time.sleep(self.pause_s)

    def report(self, tell: Tell) -> Drained:
        """Return what was done since the last report, and tell what was said meanwhile."""
        with self.lock:
            drained, self.done, self.rounds = Drained(self.done, self.rounds), 0, 0
            said, self.told[:] = list(self.told), []
            error, self.error = self.error, None
        for sentence in said:
            tell(sentence)
        if error is not None:
            raise error
        return drained


class Shifts:
    """The loops of a process, by the sensor that they work for."""

    def __init__(self) -> None:
        self._loops: dict[str, _Loop] = {}
        self._lock = threading.Lock()

    def tick(
        self,
        name: str,
        job: Job,
        tell: Tell,
        *,
        seconds: float = 1.0,
        linger: float = 0.0,
        pause_s: float = 0.1,
    ) -> Drained:
        """Let the loop of a sensor go on, or begin it; return what it did since the last tick.

        Args:
            name: whose loop.
            job: what to do from now on.
            tell: hears what a person should look at.
            seconds: how long to watch one that begins; a started piece is always finished.
            linger: how long it goes on without another tick. 0: it has ended on return.
            pause_s: how long it waits after finding nothing.

        Raises:
            Exception: what the work raised since the last tick.
        """
        with self._lock:
            before = self._loops.get(name)
            loop = self._take(name, job, seconds + linger, pause_s, alone=linger == 0)
        thread = loop.thread
        assert thread is not None
        thread.join(None if linger == 0 else seconds if loop is not before else 0)
        drained = loop.report(tell)
        if drained.rounds == 0 and thread.is_alive():
            tell(
                f"{name} has been at one piece of work since "
                + ("the last tick" if loop is before else "it began")
            )
        return drained

    def _take(self, name: str, job: Job, lease: float, pause_s: float, *, alone: bool) -> _Loop:
        loop, until = self._loops.get(name), time.monotonic() + lease
        if loop is not None and loop.thread is not None and loop.thread.is_alive():
            loop.job, loop.until = job, max(loop.until, until)
            return loop
        sys.setswitchinterval(SWITCH_S)
        self._loops[name] = loop = _Loop(job, until, pause_s, alone)
        loop.thread = threading.Thread(target=loop.run, name=f"shift {name}", daemon=True)
        loop.thread.start()
        return loop


SHIFTS = Shifts()

"""The workers of a run: started, killed and paused; their cradles start them again.

A worker that ends by itself has a fault; that is counted apart and said aloud.
"""

import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from huntaze_pipeline.local.chaos import cradle
from huntaze_pipeline.local.folder import tail
from huntaze_pipeline.local.process import Child, Launch, Watcher


class Crew:
    """All workers, by name.

    Args:
        folder: where their cradles note pids and deaths.
        launches: how to start each one's cradle.
        say: takes a sentence about a worker that ended by a fault.
    """

    def __init__(
        self, folder: Path, launches: Mapping[str, Launch], say: Callable[[str], None]
    ) -> None:
        self._folder = folder
        self._say = say
        self._told = 0
        self._watcher = Watcher()
        folder.mkdir(exist_ok=True)
        self._cradles = {name: Child(launch, self._watcher) for name, launch in launches.items()}

    @property
    def killed(self) -> int:
        """Deaths by kill -9, ours and the traps'."""
        return sum(code == -signal.SIGKILL for _, code in self._deaths())

    @property
    def crashes(self) -> int:
        """Deaths by a fault of their own."""
        return len(self._faults())

    def look(self) -> None:
        """Say who has ended by a fault since the last look."""
        faults = self._faults()
        for name, code in faults[self._told :]:
            log = self._cradles[name].launch.log
            self._say(f"{name} ended with code {code}:\n{tail(log)}")
        self._told = len(faults)

    def kill(self, name: str) -> None:
        """Kill a worker as the machine would."""
        self._signal(name, signal.SIGKILL)

    def pause(self, name: str) -> int | None:
        """Stop a worker where it is; return what `resume` wants."""
        return self._signal(name, signal.SIGSTOP)

    def resume(self, name: str, pid: int | None) -> None:
        """Let a worker go on, when it is still the same."""
        if pid is not None and pid == cradle.pid_of(self._folder, name):
            self._signal(name, signal.SIGCONT)

    def stop(self) -> None:
        """Ask all to finish, and wait for them."""
        for child in self._cradles.values():
            child.ask(signal.SIGTERM)
        for child in self._cradles.values():
            child.join(20.0)
        self._watcher.close()

    def _deaths(self) -> list[tuple[str, int]]:
        return [(n, code) for n in self._cradles for code in cradle.deaths_of(self._folder, n)]

    def _faults(self) -> list[tuple[str, int]]:
        return [(n, code) for n, code in self._deaths() if code not in (0, -signal.SIGKILL)]

    def _signal(self, name: str, number: int) -> int | None:
        pid = cradle.pid_of(self._folder, name)
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        return pid

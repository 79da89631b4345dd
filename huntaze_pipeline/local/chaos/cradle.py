"""A worker's cradle: the process that has everything imported and forks its worker again and again.

So a worker that was killed is back at once, as a fresh process with nothing but the code. Pids and
deaths are noted in files, where `crew` reads them. Not here: what a worker does (`worker`).
"""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

AGAIN_S = 0.3
"""A dead worker is forked again after so long."""


def pid_of(folder: Path, name: str) -> int | None:
    """Return the process of a worker that lives."""
    try:
        return int((folder / f"{name}.pid").read_text())
    except (FileNotFoundError, ValueError):
        return None


def deaths_of(folder: Path, name: str) -> list[int]:
    """Return how a worker has died so far: exit codes, negative for signals."""
    try:
        return [int(line) for line in (folder / f"{name}.deaths").read_text().split()]
    except FileNotFoundError:
        return []


def rock(folder: Path, name: str, work: Callable[[], None]) -> None:
    """Fork the worker until it has ended well, or until SIGTERM, which it gets too."""
    asked = False

    def stop(*_: object) -> None:
        nonlocal asked
        asked = True
        if (pid := pid_of(folder, name)) is not None:
            os.kill(pid, signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    while not asked and _life(folder, name, work) != 0:
        time.sleep(AGAIN_S)


def _life(folder: Path, name: str, work: Callable[[], None]) -> int:
    """Fork once and wait for the end; return the exit code."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        _live(work)
    place = folder / f"{name}.pid"
    place.write_text(str(pid))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    place.unlink()
    with (folder / f"{name}.deaths").open("a") as file:
        file.write(f"{code}\n")
    return code


def _live(work: Callable[[], None]) -> None:
    """Be the worker; never return into the cradle's code."""
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)

"""Ends process groups when their parent dies, however it dies. Run by path, standard library only.

The parent writes ``+pid signal`` for a child that started and ``-pid`` for one that ended, and
holds the pipe open as long as it lives. The end of the pipe is the parent's end.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable

GRACE_S = 8.0


def read(lines: Iterable[str]) -> dict[int, int]:
    """Follow the parent's lines to the end; return the groups still running, and their signal."""
    groups: dict[int, int] = {}
    for line in lines:
        pid, _, number = line[1:].partition(" ")
        if line.startswith("+"):
            groups[int(pid)] = int(number)
        else:
            groups.pop(int(pid), None)
    return groups


def alive(group: int) -> bool:
    """Say whether the group still has a process."""
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def end(groups: dict[int, int], grace_s: float = GRACE_S) -> None:
    """Ask every group to stop, and force those that have not after the grace."""
    for group, number in groups.items():
        with contextlib.suppress(OSError):
            os.killpg(group, number)
    deadline = time.monotonic() + grace_s
    while time.monotonic() < deadline and any(map(alive, groups)):
        time.sleep(0.05)
    for group in filter(alive, groups):
        with contextlib.suppress(OSError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    end(read(sys.stdin))

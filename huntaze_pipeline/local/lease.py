"""Locks that the kernel lets go of when their holder dies, however it dies. They keep no data.

Every user of the embedded stack holds `users` shared; its keeper holds `keeper` alone for life and
may stop only once it has `users` alone. So the servers outlive neither their last user nor a
`kill -9`.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huntaze_pipeline.errors import ServiceError

PAUSE_S = 0.05


class Lock:
    """An advisory lock on a file; closing it, or dying, releases it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(path, flags, 0o600)

    def take(self, *, shared: bool = False, wait_s: float = 0.0) -> bool:
        """Try to take the lock, for at most `wait_s` seconds; say whether it is held now."""
        mode = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(self._descriptor, mode)
            except OSError:
                if time.monotonic() >= deadline:
                    return False
                time.sleep(PAUSE_S)
            else:
                return True

    def close(self) -> None:
        """Release the lock."""
        os.close(self._descriptor)


@contextmanager
def held(path: Path, *, shared: bool, wait_s: float, what: str) -> Iterator[Lock]:
    """Hold a lock for the duration of the block.

    Raises:
        ServiceError: somebody else kept it for the whole `wait_s`.
    """
    lock = Lock(path)
    try:
        if not lock.take(shared=shared, wait_s=wait_s):
            raise ServiceError(f"waited {wait_s:.0f} s for {what} ({path} is locked)")
        yield lock
    finally:
        lock.close()


def taken(path: Path) -> bool:
    """Say whether a living process holds this lock alone."""
    if not path.exists():
        return False
    lock = Lock(path)
    try:
        return not lock.take(shared=True)
    finally:
        lock.close()

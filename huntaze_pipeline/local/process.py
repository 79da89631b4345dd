"""Child processes that cannot outlive their parent: how one is started and how it is stopped.

Two ties hold them. Linux sends the child its stop signal when the parent dies; everywhere, a
watcher (`local.watcher`) holds a pipe from the parent and ends the child's whole process group when
it closes.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_LOG_LIMIT = 8 * 2**20
_WATCHER = Path(__file__).with_name("watcher.py")


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a process, and how to ask it to stop."""

    argv: Sequence[str]
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)
    """The whole environment of the child."""
    cwd: Path | None = None
    stdin: bytes = b""
    """Written to the child and closed: the way for secrets, which argv would show to everybody."""
    account: tuple[int, int] | None = None
    """(uid, gid) to drop to; only root can."""
    stop: Sequence[int] = (signal.SIGTERM,)
    """Signals to try in turn before SIGKILL."""


class Watcher:
    """The process that ends our children's groups when we die without a word."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_WATCHER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )

    def tell(self, line: str) -> None:
        """Tell it of a child (``+pid signal``) or of its end (``-pid``)."""
        if self._process.stdin is not None:
            try:
                self._process.stdin.write(f"{line}\n".encode())
                self._process.stdin.flush()
            except BrokenPipeError:
                self._process.stdin = None

    def close(self) -> None:
        """Let it go; all children have been stopped."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()


class Child:
    """A running child and its process group."""

    def __init__(self, launch: Launch, watcher: Watcher | None = None) -> None:
        self.launch = launch
        self._watcher = watcher
        self._process = _start(launch)
        self.pid = self._process.pid
        if watcher is not None:
            watcher.tell(f"+{self.pid} {int(launch.stop[0])}")

    @property
    def code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def stop(self, grace_s: float = 8.0) -> None:
        """End it and every process of its group, gently first."""
        self.ask(self.launch.stop[0])
        self.join(grace_s)

    def ask(self, number: int) -> None:
        """Send a signal, when it still runs."""
        if self.code is None:
            self._process.send_signal(number)

    def join(self, grace_s: float) -> None:
        """Wait for the end that was asked for; insist, then force it, with the whole group."""
        for number in (*self.launch.stop[1:], signal.SIGKILL):
            try:
                self._process.wait(grace_s)
                break
            except subprocess.TimeoutExpired:
                self.ask(number)
                grace_s = 2.0
        self._process.wait()
        _end_group(self.pid)
        if self._watcher is not None:
            self._watcher.tell(f"-{self.pid}")


def _tie(parent: int, libc: Any, end: int) -> None:
    """Hear the usual signals again, and hear `end` when the parent dies; runs in the child."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    if libc is not None:  # after the change of user, which would clear it
        libc.prctl(_PR_SET_PDEATHSIG, int(end), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def _start(launch: Launch) -> "subprocess.Popen[bytes]":
    uid, gid = launch.account or (None, None)
    tie = partial(_tie, os.getpid(), _libc(), launch.stop[0])
    with _log(launch.log) as log:
        process = subprocess.Popen(
            list(launch.argv),
            env=dict(launch.env),
            cwd=launch.cwd,
            stdin=subprocess.PIPE if launch.stdin else subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            user=uid,
            group=gid,
            extra_groups=None if launch.account is None else [],
            start_new_session=True,
            preexec_fn=tie,
        )
    if process.stdin is not None:
        with process.stdin as pipe:
            pipe.write(launch.stdin)
    return process


def _libc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if sys.platform == "linux" else None


def _log(path: Path):
    """Open a log to append to; one that has grown too long is set aside first."""
    if path.exists() and path.stat().st_size > _LOG_LIMIT:
        path.replace(path.with_suffix(".log.1"))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    return os.fdopen(descriptor, "ab")


def _end_group(group: int) -> None:
    """End what the leader left behind in its process group."""
    for number, wait_s in ((signal.SIGTERM, 1.0), (signal.SIGKILL, 1.0)):
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            try:
                os.killpg(group, number)
            except (ProcessLookupError, PermissionError):
                return
            time.sleep(0.05)

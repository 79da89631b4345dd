"""What ends children whose parent died without a word."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from huntaze_pipeline.local import watcher

PARENT = """
import sys, time
from pathlib import Path
from huntaze_pipeline.local import process
if sys.argv[2] == "no-prctl":
    process._libc = lambda: None
child = "import time; time.sleep(60)"
keep = process.Watcher()
launch = process.Launch([sys.executable, "-c", child], Path(sys.argv[1]))
print(process.Child(launch, keep).pid, flush=True)
time.sleep(60)
"""

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(60)
"""


def killed(tmp_path: Path, how: str, seconds: float) -> bool:
    """Start a parent with a child, kill the parent, and say whether the child's group ends."""
    command = [sys.executable, "-c", PARENT, str(tmp_path / "log"), how]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert watcher.alive(child)
        parent.kill()
    deadline = time.monotonic() + seconds
    while watcher.alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not watcher.alive(child)


def test_a_child_ends_with_its_killed_parent(tmp_path: Path) -> None:
    assert killed(tmp_path, "plain", 3.0)


def test_it_ends_too_where_the_kernel_does_not_tell(tmp_path: Path) -> None:
    assert killed(tmp_path, "no-prctl", 3.0)


def test_one_that_will_not_listen_is_forced() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, start_new_session=True
    )
    with child:
        assert child.stdout is not None
        child.stdout.readline()
        watcher.end({child.pid: signal.SIGTERM}, grace_s=0.2)
        assert child.wait(5) == -signal.SIGKILL


def test_children_that_ended_are_forgotten() -> None:
    assert watcher.read(["+10 15\n", "+11 2\n", "-10\n"]) == {11: 2}


def test_a_group_that_is_gone_is_no_fault() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""], start_new_session=True)
    child.wait()
    watcher.end({child.pid: signal.SIGTERM}, grace_s=0.1)
    assert not watcher.alive(child.pid)

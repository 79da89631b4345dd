"""A cradle forks its worker again after every death but the good one."""

import os
import signal
from functools import partial
from pathlib import Path

from huntaze_pipeline.local.chaos import cradle


def live(folder: Path) -> None:
    """Die by kill -9 first, by a fault next, and well in the third life."""
    match len(cradle.deaths_of(folder, "worker")):
        case 0:
            os.kill(os.getpid(), signal.SIGKILL)
        case 1:
            raise RuntimeError("a fault")


def test_a_worker_is_back_after_every_death_until_it_ends_well(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        cradle.rock(tmp_path, "worker", partial(live, tmp_path))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert cradle.deaths_of(tmp_path, "worker") == [-signal.SIGKILL, 1, 0]
    assert cradle.pid_of(tmp_path, "worker") is None

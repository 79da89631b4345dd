"""Locks between processes."""

import subprocess
import sys
from pathlib import Path

import pytest

from huntaze_pipeline.errors import ServiceError
from huntaze_pipeline.local import lease

HOLDER = """
import sys, time
from pathlib import Path
from huntaze_pipeline.local.lease import Lock
assert Lock(Path(sys.argv[1])).take()
print("held", flush=True)
time.sleep(60)
"""


def test_many_share_and_one_excludes(tmp_path: Path) -> None:
    one, two, alone = (lease.Lock(tmp_path / "lock") for _ in range(3))
    assert one.take(shared=True)
    assert two.take(shared=True)
    assert not alone.take()
    one.close()
    two.close()
    assert alone.take()
    alone.close()


def test_a_killed_holder_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert lease.taken(path)
        holder.kill()
    assert not lease.taken(path)


def test_a_wait_in_vain_names_what_it_waited_for(tmp_path: Path) -> None:
    holder = lease.Lock(tmp_path / "lock")
    assert holder.take()
    with pytest.raises(ServiceError, match="waited 0 s for the other one"):
        lease.held(tmp_path / "lock", shared=True, wait_s=0.1, what="the other one").__enter__()
    holder.close()


def test_a_lock_that_nobody_made_is_not_taken(tmp_path: Path) -> None:
    assert not lease.taken(tmp_path / "none")


def test_a_symbolic_link_is_never_followed(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        lease.Lock(tmp_path / "lock")
    assert not (tmp_path / "elsewhere").exists()

"""The home's folders and its state file."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from huntaze_pipeline.errors import ServiceError
from huntaze_pipeline.local.folder import Folder, tail


def test_the_state_file_is_private_whatever_the_umask(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    before = os.umask(0)
    try:
        folder.write({"a": 1})
    finally:
        os.umask(before)
    assert folder.state.stat().st_mode & 0o777 == 0o600
    assert folder.read() == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["stack.json"]


@pytest.mark.parametrize("content", ["", "{", "[1]", "null", "\x00"])
def test_a_damaged_state_file_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "stack.json").write_text(content)
    assert Folder(tmp_path).read() == {}


def test_secrets_are_drawn_once(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    first = folder.secrets()
    assert folder.secrets() == first
    assert len(set(first.values())) == 3
    assert min(map(len, first.values())) >= 32


def test_folders_that_exist_keep_their_permissions(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o750)
    Folder(home).prepare()
    assert home.stat().st_mode & 0o777 == 0o750
    assert (home / "stack").stat().st_mode & 0o777 == 0o711


def test_a_home_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(ServiceError, match=r"cannot write in HUNTAZE_HOME \(.*home\)"):
        Folder(tmp_path / "home").prepare()


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "huntaze_pipeline.cli", "migrate"]
    env = {"PATH": os.defpath, "HUNTAZE_HOME": "/proc/home"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "cannot write in HUNTAZE_HOME (/proc/home)" in done.stderr
    assert "Traceback" not in done.stderr


def test_only_the_last_lines_of_a_log_are_shown(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("".join(f"line {n}\n" for n in range(10_000)))
    assert tail(tmp_path / "log", 2) == "  line 9998\n  line 9999"
    assert tail(tmp_path / "none") == "  (its log is empty)"

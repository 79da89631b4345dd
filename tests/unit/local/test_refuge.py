"""Where PostgreSQL goes when we are root."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from huntaze_pipeline.errors import ServiceError
from huntaze_pipeline.local import refuge

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root needs a refuge")


@pytest.fixture
def bases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two world-writable folders in the place of /var/tmp and /tmp, open on the way."""
    made = (tmp_path / "var", tmp_path / "tmp")
    for base in made:
        base.mkdir()
        base.chmod(0o1777)
    monkeypatch.setattr(refuge, "BASES", made)
    monkeypatch.setattr(refuge, "reachable", lambda *_: True)
    return made


def test_the_name_is_the_same_every_time_and_differs_by_home() -> None:
    assert refuge.paths(Path("/a")) == refuge.paths(Path("/a"))
    assert refuge.paths(Path("/a")) != refuge.paths(Path("/b"))


def test_it_is_made_closed_to_listing(bases: tuple[Path, Path]) -> None:
    found = refuge.folder(Path("/home"), (65534, 65534))
    assert found.parent == bases[0]
    assert found.stat().st_mode & 0o777 == 0o711
    assert refuge.folder(Path("/home"), (65534, 65534)) == found


def test_a_planted_link_is_refused(bases: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    refuge.paths(Path("/home"))[0].symlink_to(tmp_path / "theirs")
    assert refuge.folder(Path("/home"), (65534, 65534)).parent == bases[1]


def test_a_folder_that_others_can_write_is_refused(bases: tuple[Path, Path]) -> None:
    for path in refuge.paths(Path("/home")):
        path.mkdir()
        path.chmod(0o777)
    with pytest.raises(ServiceError, match=r"neither .* nor .* can be used"):
        refuge.folder(Path("/home"), (65534, 65534))


@root_only
def test_a_folder_of_another_user_is_refused(bases: tuple[Path, Path]) -> None:
    planted = refuge.paths(Path("/home"))[0]
    planted.mkdir(mode=0o711)
    os.chown(planted, 65534, 65534)
    assert refuge.folder(Path("/home"), (65534, 65534)).parent == bases[1]


@root_only
def test_the_account_owns_its_data_alone(tmp_path: Path) -> None:
    refuge.own(tmp_path / "data", (65534, 65534))
    refuge.own(tmp_path / "data", (65534, 65534))
    found = (tmp_path / "data").stat()
    assert (found.st_uid, found.st_mode & 0o777) == (65534, 0o700)
    with pytest.raises(ServiceError, match="does not belong to uid 1"):
        refuge.own(tmp_path / "data", (1, 1))


@root_only
def test_reach_is_asked_of_the_kernel(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from huntaze_pipeline.local import refuge;"
        "print(refuge.reachable(Path(sys.argv[1]), (65534, 65534)))"
    )
    (tmp_path / "closed").mkdir(mode=0o700)
    answers = [
        subprocess.check_output([sys.executable, "-c", code, str(path)], text=True).strip()
        for path in (tmp_path / "closed", Path("/"))
    ]
    assert answers == ["False", "True"]


def test_a_user_without_a_name_is_told_what_postgresql_wants(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1_999_999_999)
    with pytest.raises(ServiceError, match="no entry in /etc/passwd"):
        refuge.account()

"""How `.venv` comes to be; the installs themselves are not run here."""

import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from huntaze_pipeline.local import bootstrap


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with the two files that count."""
    (tmp_path / "requirements.lock").write_text("a==1\n")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    return tmp_path


@pytest.fixture
def steps(root: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that an install would run; making the environment makes its Python."""
    found: list[list[str]] = []

    def run(argv: list[str], env: dict[str, str]) -> None:
        found.append(argv)
        if "venv" in argv:
            (root / ".venv" / "bin").mkdir(parents=True, exist_ok=True)
            (root / ".venv" / "bin" / "python").symlink_to(sys.executable)

    monkeypatch.setattr(bootstrap, "run", run)
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: None)
    return found


def test_a_fresh_checkout_is_installed_from_the_lock_with_hashes(root: Path, steps: list) -> None:
    bootstrap.install(root)
    assert [step[1:3] for step in steps] == [["-m", "venv"], ["-m", "pip"], ["-m", "pip"]]
    assert "--require-hashes" in steps[1]
    assert "--no-build-isolation" in steps[2]
    assert bootstrap.current(root)


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml"])
def test_a_changed_lock_asks_for_another_install(root: Path, steps: list, name: str) -> None:
    bootstrap.install(root)
    (root / name).write_text("changed")
    assert not bootstrap.current(root)


def test_an_interrupted_install_is_not_taken_for_a_whole_one(
    root: Path, steps: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    bootstrap.install(root)

    def interrupt(argv: list[str], env: dict[str, str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bootstrap, "run", interrupt)
    with pytest.raises(KeyboardInterrupt):
        bootstrap.install(root)
    assert not bootstrap.current(root)


def test_an_environment_whose_python_is_gone_is_made_anew(root: Path, steps: list) -> None:
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / ".venv" / "bin" / "python").symlink_to("/nowhere")
    (root / ".venv" / "left").write_text("")
    bootstrap.install(root)
    assert not (root / ".venv" / "left").exists()


def test_packages_of_an_environment_that_works_are_kept(root: Path, steps: list) -> None:
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (root / ".venv" / "bin" / "pip").write_text("")
    (root / ".venv" / "kept").write_text("")
    bootstrap.install(root)
    assert (root / ".venv" / "kept").exists()
    assert [step[1:3] for step in steps] == [["-m", "pip"], ["-m", "pip"]]


@pytest.mark.parametrize("home", ["", "/nonexistent", "/dev/null"])
def test_installers_get_a_home_that_can_be_written(
    root: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    monkeypatch.setenv("HOME", home)
    assert os.access(bootstrap.environment(root)["HOME"], os.W_OK)


def test_installers_know_nothing_of_another_environment(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("VIRTUAL_ENV", "/elsewhere")
    assert not {"PYTHONPATH", "VIRTUAL_ENV"} & set(bootstrap.environment(root))


def test_a_second_install_waits_for_the_first(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / ".huntaze").mkdir()
    with (root / ".huntaze" / "install.lock").open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        monkeypatch.setattr(bootstrap, "say", lambda text: fcntl.flock(other, fcntl.LOCK_UN))
        with (
            bootstrap.locked(root),
            (root / ".huntaze" / "install.lock").open("a") as third,
            pytest.raises(BlockingIOError),
        ):
            fcntl.flock(third, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_an_old_python_hands_over_to_a_newer_one(tmp_path: Path) -> None:
    old = tmp_path / "python3.13"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(old.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "python3.12").symlink_to(sys.executable)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import bootstrap;"
        "print(bootstrap.interpreter())"
    )
    folder = Path(bootstrap.__file__).parent
    answer = subprocess.check_output(
        [sys.executable, "-I", "-c", code, str(folder)], env={"PATH": str(tmp_path)}, text=True
    )
    assert answer.strip() == str(tmp_path / "python3.12")


def test_no_python_that_is_new_enough_ends_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or newer.*no newer one on PATH"):
        bootstrap.interpreter()

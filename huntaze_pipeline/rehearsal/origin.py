"""Which commit the rule files are of, where they are kept in git."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Origin:
    """Where files come from."""

    commit: str | None = None
    """None: not known."""
    dirty: bool = False
    """They hold changes that the commit has not."""


def of(folder: Path) -> Origin:
    """Return the commit of a folder; nothing when it is not in git or there is no git."""
    head = _git(folder, "rev-parse", "HEAD")
    if not head:
        return Origin()
    return Origin(head.strip(), bool(_git(folder, "status", "--porcelain", "--", ".")))


def _git(folder: Path, *words: str) -> str | None:
    program = shutil.which("git")
    if program is None or not folder.is_dir():
        return None
    try:
        done = subprocess.run(
            [program, "-C", str(folder), *words],
            capture_output=True, text=True, timeout=10, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None

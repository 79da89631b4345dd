"""Where the embedded stack keeps its things under HUNTAZE_HOME, and its state file (0600)."""

import json
import os
import secrets
import tempfile
from pathlib import Path
from typing import Any

from huntaze_pipeline.errors import ServiceError

State = dict[str, Any]
SECRETS = ("postgres", "redis", "webhook")


class Folder:
    """The paths of one home. Passwords and addresses are in `state`, nowhere else."""

    def __init__(self, home: Path) -> None:
        self.home = home.expanduser().absolute()
        self.state = self.home / "stack.json"
        self.stack = self.home / "stack"
        self.wanted = self.stack / "wanted"
        self.keeper = self.stack / "keeper.lock"
        self.users = self.stack / "users.lock"
        self.starter = self.stack / "starter.lock"

    def log(self, name: str) -> Path:
        """Return the log file of a server or process."""
        return self.stack / f"{name}.log"

    def prepare(self) -> None:
        """Create the folders that are missing; those that exist keep their permissions.

        Raises:
            ServiceError: the home cannot be written.
        """
        try:
            for path in (self.home, self.stack, self.wanted):
                _make(path)
            if not os.access(self.stack, os.W_OK | os.X_OK):
                raise PermissionError(13, "Permission denied", str(self.stack))
        except OSError as error:
            raise ServiceError(
                f"cannot write in HUNTAZE_HOME ({self.home}): {error.strerror}; "
                "set HUNTAZE_HOME to a folder that this user can write"
            ) from None

    def read(self) -> State:
        """Return the state file's content, empty when there is none or it is damaged.

        Raises:
            ServiceError: the file belongs to another user.
        """
        try:
            content = json.loads(self.state.read_text())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return {}
        except OSError as error:
            raise ServiceError(
                f"cannot read {self.state}: {error.strerror}; the stack in this home belongs to "
                "another user: set HUNTAZE_HOME to a folder of your own"
            ) from None
        return content if isinstance(content, dict) else {}

    def write(self, state: State) -> None:
        """Replace the state file in one step; nobody but its owner may read it."""
        descriptor, name = tempfile.mkstemp(prefix=".stack-", dir=self.home)
        try:
            with os.fdopen(descriptor, "w") as file:
                json.dump(state, file, indent=1)
            Path(name).replace(self.state)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def secrets(self) -> dict[str, str]:
        """Return this home's passwords, drawn at random the first time. Call it under `starter`."""
        state = self.read()
        known = state.get("secrets", {})
        if missing := [name for name in SECRETS if name not in known]:
            known = known | {name: secrets.token_urlsafe(24) for name in missing}
            self.write(state | {"secrets": known})
        return known


def _make(path: Path) -> None:
    """Create a folder that others may pass through but not list, unless it exists."""
    if not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(exist_ok=True)
        path.chmod(0o711)


def tail(path: Path, lines: int = 12) -> str:
    """Return the last lines of a log, indented, or a word that there are none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 8192))
            text = file.read().decode(errors="replace").strip()
    except OSError:
        text = ""
    return "\n".join(f"  {line}" for line in text.splitlines()[-lines:]) or "  (its log is empty)"

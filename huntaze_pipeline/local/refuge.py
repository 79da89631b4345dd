"""A place and an account for PostgreSQL, which refuses to run as root.

As root the server drops to `nobody`. That account must reach its data and its programs; where the
home or the programs are closed to it, a folder in /var/tmp takes their place. Permissions of
anything that already exists are never changed. Standard library only: `make clean` needs it before
any install.
"""

import hashlib
import os
import pwd
import stat
from pathlib import Path

from huntaze_pipeline.errors import ServiceError

Account = tuple[int, int]
BASES = (Path("/var/tmp"), Path("/tmp"))  # `_ours` checks owner and mode


def account() -> Account | None:
    """Return the (uid, gid) to drop to: None unless we are root.

    Raises:
        ServiceError: root, and the system knows no unprivileged account; or a user without a name,
            which PostgreSQL refuses as well.
    """
    if os.geteuid() != 0:
        _named(os.geteuid())
        return None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise ServiceError(
            "PostgreSQL refuses to run as root and this system has no account `nobody`: "
            "run as another user, or set DATABASE_URL"
        ) from None
    return entry.pw_uid, entry.pw_gid


def _named(uid: int) -> None:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        raise ServiceError(
            f"PostgreSQL runs only as a user with a name, and user id {uid} has no entry in "
            "/etc/passwd (a container started with a bare number?): add one, or set DATABASE_URL"
        ) from None


def paths(home: Path) -> list[Path]:
    """Return where this home's refuge may be; the names are the same every time."""
    digest = hashlib.sha256(str(home).encode()).hexdigest()[:12]
    return [base / f"huntaze-{os.geteuid()}-{digest}" for base in BASES]


def reachable(path: Path, who: Account, mode: int = os.X_OK) -> bool:
    """Say whether an account may use a path. Asked of the kernel, in a child that becomes it."""
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(who[1])
            os.setuid(who[0])
            os._exit(0 if os.access(path, mode) else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def folder(home: Path, who: Account) -> Path:
    """Return a folder of ours that the account can pass through, made when it is missing.

    Raises:
        ServiceError: every candidate is held by somebody else.
    """
    for path in paths(home):
        try:
            path.mkdir(mode=0o711)
        except FileExistsError:
            pass
        except OSError:
            continue
        else:
            path.chmod(0o711)
        if _ours(path) and reachable(path, who):
            return path
    raise ServiceError(
        f"neither {' nor '.join(map(str, paths(home)))} can be used: it must be a folder of this "
        "user that nobody else may write; remove it, or set DATABASE_URL"
    )


def own(path: Path, who: Account) -> None:
    """Make a folder that belongs to the account alone, or check that it does.

    Raises:
        ServiceError: it exists and belongs to somebody else.
    """
    try:
        path.mkdir(mode=0o700)
        os.chown(path, *who)
    except FileExistsError:
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != who[0]:
            raise ServiceError(
                f"{path} exists and does not belong to uid {who[0]}: it was made by another user; "
                "remove it, or set HUNTAZE_HOME to another folder"
            ) from None


def _ours(path: Path) -> bool:
    """Say whether it is a real folder of ours that nobody else can change."""
    status = path.lstat()
    closed = not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and closed

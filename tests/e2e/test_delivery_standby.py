"""Redis away, for all senders or for one: the books limit, exactly, and hand over again."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from gateway import Gateway
from sqlalchemy import text

from huntaze_pipeline.delivery import books, outbox
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.session import Store

ACCOUNTS = 4
COUNT, WINDOW_S = 10, 2
PROGRAM = """
from huntaze_pipeline import settings
from huntaze_pipeline.delivery import epoch, worker
from huntaze_pipeline.delivery.outfit import Options
epoch.HOLD_S = 4.0
worker.send(settings.load(), Options(
    lease_s=8, timeout_s=5, margin_s=0.2, poll_s=0.05, long_poll_s=1, relay=True, sweep_s=3,
    concurrency=20))
"""


class Cable:
    """A way to a server that can be cut: nothing goes through, and nobody is told."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._whole = threading.Event()
        self._whole.set()
        self._threads: list[threading.Thread] = []
        self._ends = [socket.create_server(("127.0.0.1", 0), backlog=64)]
        self.port: int = self._ends[0].getsockname()[1]
        self._start(self._accept)

    def cut(self) -> None:
        self._whole.clear()

    def mend(self) -> None:
        self._whole.set()

    def close(self) -> None:
        self._whole.set()
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for end in self._ends:
            end.close()

    def _start(self, work: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._ends[0].accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                self._ends += [near, far]
                self._start(self._pump, near, far)
                self._start(self._pump, far, near)

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                self._whole.wait()
                other.sendall(data)
        with suppress(OSError):
            other.shutdown(socket.SHUT_WR)


@contextmanager
def cable(settings: Settings) -> Iterator[Cable]:
    assert settings.redis_url is not None
    made = Cable(urlsplit(settings.redis_url.get_secret_value()).port or 6379)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def sender(
    settings: Settings, gateway: Gateway, log: Path, redis_port: int
) -> Iterator[subprocess.Popen[bytes]]:
    assert settings.database_url is not None
    assert settings.redis_url is not None
    url = urlsplit(settings.redis_url.get_secret_value())
    place = url.netloc.rpartition(":")[0] + f":{redis_port}"
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "HUNTAZE_HOME": str(settings.home),
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "REDIS_URL": url._replace(netloc=place).geturl(),
        "SQS_RATE_LIMITER_QUEUE": settings.sqs_queue or "",
        "AWS_ENDPOINT_URL": settings.aws_endpoint_url or "",
        "RATE_LIMITER_ENABLED": "true",
        "RATE_LIMITER_ROLLOUT_PERCENTAGE": "50",
        "ONLYFANS_API_URL": gateway.url,
        "ONLYFANS_API_TOKEN": "token",
    }
    with log.open("ab") as out:
        process = subprocess.Popen([sys.executable, "-c", PROGRAM], env=env, stdout=out, stderr=out)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(25)


@pytest.fixture
def world(store: Store, creator: str) -> Callable[[int], None]:
    """Four accounts with a short window; call it for so many more messages each."""
    with store.worker() as c:
        for i in range(ACCOUNTS):
            c.execute(
                text("""insert into accounts
                    (creator_id, id, platform, handle, limit_count, limit_window_s)
                    values ('maya', :id, 'onlyfans', :id, :n, :w)"""),
                {"id": f"acc-{i}", "n": COUNT, "w": WINDOW_S},
            )

    def decide(each: int) -> None:
        now = datetime.now(UTC)
        first = Decision(
            creator_id="maya", source="api", source_id=str(now), rule_hash="h", fan_id="fan-1",
            platform="onlyfans", account_id="acc-0", address="fan-1", content="Hi",
            not_before=now, decided_at=now,
        )  # fmt: skip
        with store.worker() as c:
            outbox.record(
                c,
                [
                    replace(first, account_id=f"acc-{i % ACCOUNTS}", occurrence=str(i))
                    for i in range(ACCOUNTS * each)
                ],
            )

    return decide


def limiter(store: Store) -> dict[str, Any]:
    with store.worker() as c:
        return books.position(c)


def states(store: Store) -> set[str]:
    with store.worker() as c:
        return set(c.execute(text("select distinct state from messages")).scalars())


def until(ready: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("cut", ["one", "all"])
def test_senders_without_redis_never_pass_the_limit_and_go_back_to_it(
    settings: Settings, store: Store, world: Callable[[int], None], cut: str, tmp_path: Path
) -> None:
    """Two senders, one or both cut off from Redis under load, and mended under load."""
    world(60)
    with ExitStack() as stack:
        gateway = stack.enter_context(Gateway())
        cables = [stack.enter_context(cable(settings)) for _ in range(2)]
        for one in cables:
            stack.enter_context(sender(settings, gateway, tmp_path / "log", one.port))
        until(lambda: len(gateway.arrivals) > 2 * COUNT)
        assert not limiter(store).get("books")
        for one in cables[: 1 if cut == "one" else 2]:
            one.cut()
        until(lambda: bool(limiter(store).get("books")))
        before = len(gateway.arrivals)
        until(lambda: len(gateway.arrivals) > before + 4 * COUNT)
        for one in cables:
            one.mend()
        until(lambda: "run_id" in limiter(store))
        world(10)
        until(lambda: states(store) == {"sent"})
        counts, worst = gateway.counts(), gateway.worst(WINDOW_S)

    assert worst <= COUNT
    assert len(counts) == ACCOUNTS * 70
    assert max(counts.values()) == 1


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_sender_that_never_saw_redis_sends_by_the_books(
    settings: Settings, store: Store, world: Callable[[int], None], tmp_path: Path
) -> None:
    world(15)
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    with Gateway() as gateway, sender(settings, gateway, tmp_path / "log", port):
        until(lambda: states(store) == {"sent"})
        assert gateway.worst(WINDOW_S) <= COUNT

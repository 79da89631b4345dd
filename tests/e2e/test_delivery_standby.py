"""Redis away, for all senders or for one: the books limit, exactly, and hand over again."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import scene
from gateway import Gateway
from pydantic import SecretStr
from scene import decide, pointed, sender, spread, states, until

from huntaze_pipeline.delivery import books
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.session import Store

ACCOUNTS = [f"acc-{i}" for i in range(4)]
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


def behind(settings: Settings, gateway: Gateway, port: int) -> Settings:
    """Settings of a sender whose Redis is behind another port."""
    assert settings.redis_url is not None
    url = urlsplit(settings.redis_url.get_secret_value())
    place = url.netloc.rpartition(":")[0] + f":{port}"
    there = SecretStr(url._replace(netloc=place).geturl())
    return pointed(settings, gateway).model_copy(update={"redis_url": there})


@pytest.fixture
def world(store: Store, creator: str) -> Callable[[int], None]:
    """Four accounts with a short window; call it for so many more messages each."""
    scene.accounts(store, *ACCOUNTS, count=COUNT, window_s=WINDOW_S)

    def more(each: int) -> None:
        decide(store, *spread(ACCOUNTS, each, source_id=str(datetime.now(UTC))))

    return more


def limiter(store: Store) -> dict[str, Any]:
    with store.worker() as c:
        return books.position(c)


def all_sent(store: Store) -> bool:
    return set(states(store).values()) == {"sent"}


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("cut", ["one", "all"])
def test_senders_without_redis_never_pass_the_limit_and_go_back_to_it(
    settings: Settings, store: Store, world: Callable[[int], None], cut: str, tmp_path: Path
) -> None:
    """Two senders, one or both cut off from Redis under load, and mended under load."""
    world(60)
    with ExitStack() as stage:
        gateway = stage.enter_context(Gateway())
        cables = [stage.enter_context(cable(settings)) for _ in range(2)]
        for one in cables:
            stage.enter_context(
                sender(behind(settings, gateway, one.port), PROGRAM, tmp_path / "log")
            )
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
        until(lambda: all_sent(store))
        counts, worst = gateway.counts(), gateway.worst(WINDOW_S)

    assert worst <= COUNT
    assert len(counts) == len(ACCOUNTS) * 70
    assert max(counts.values()) == 1


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_sender_that_never_saw_redis_sends_by_the_books(
    settings: Settings, store: Store, world: Callable[[int], None], tmp_path: Path
) -> None:
    world(15)
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    with (
        Gateway() as gateway,
        sender(behind(settings, gateway, port), PROGRAM, tmp_path / "log"),
    ):
        until(lambda: all_sent(store))
        assert gateway.worst(WINDOW_S) <= COUNT

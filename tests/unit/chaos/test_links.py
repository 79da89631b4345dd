"""Links: each worker's way to a server, cut or held without the others noticing."""

import socket
import threading
from collections.abc import Iterator

import pytest

from huntaze_pipeline.local.chaos.links import Switchboard


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that says back what it hears."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(peer,), daemon=True).start()

        def answer(peer: socket.socket) -> None:
            with peer:
                while data := peer.recv(100):
                    peer.sendall(data)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def board(echo: int) -> Iterator[Switchboard]:
    made = Switchboard({"redis": lambda: echo}, ["one", "two"])
    yield made
    made.close()


def dial(board: Switchboard, worker: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", board.port(worker, "redis")), timeout=5)


def say(line: socket.socket, word: bytes) -> bytes:
    line.sendall(word)
    return line.recv(100)


def test_a_link_carries_both_ways(board: Switchboard) -> None:
    with dial(board, "one") as line:
        assert say(line, b"hello") == b"hello"
        assert say(line, b"again") == b"again"


def test_a_cut_link_drops_what_is_connected_and_refuses_what_comes(board: Switchboard) -> None:
    with dial(board, "one") as line, dial(board, "two") as other:
        say(line, b"hello")
        say(other, b"hello")
        board.change("cut", "one", "redis")
        assert _ended(line)
        assert say(other, b"still here") == b"still here"
        with dial(board, "one") as late:
            assert _ended(late)
    board.change("mend", "one", "redis")
    with dial(board, "one") as line:
        assert say(line, b"back") == b"back"


def test_everybody_may_be_cut_off_at_once(board: Switchboard) -> None:
    with dial(board, "one") as line, dial(board, "two") as other:
        say(line, b"hello")
        say(other, b"hello")
        board.change("cut", "*", "redis")
        assert _ended(line)
        assert _ended(other)


def test_what_a_held_link_was_given_arrives_when_it_is_mended(board: Switchboard) -> None:
    with dial(board, "one") as line:
        say(line, b"hello")
        board.change("hold", "one", "redis")
        line.sendall(b"late")
        line.settimeout(0.3)
        with pytest.raises(TimeoutError):
            line.recv(100)
        line.settimeout(5)
        board.mend()
        assert line.recv(100) == b"late"


def _ended(line: socket.socket) -> bool:
    try:
        return line.recv(100) == b""
    except ConnectionError:
        return True

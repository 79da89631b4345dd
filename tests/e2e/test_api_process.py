"""The API as people run it: its own process, a real socket, the commands beside it."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest
import terminal

from huntaze_pipeline.local import stack
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.session import Store

HUNTAZE = [sys.executable, "-m", "huntaze_pipeline.cli"]


@pytest.fixture
def environment(settings: Settings, store: Store) -> dict[str, str]:
    return stack.environment(settings) | {"HUNTAZE_WEBHOOK_SECRET": "hush"}


def huntaze(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return terminal.run(*words, env=environment)


@pytest.fixture(scope="module")
def served(lasting: Settings) -> dict[str, str]:
    """The environment of the API that runs."""
    return stack.environment(lasting) | {"HUNTAZE_WEBHOOK_SECRET": "hush"}


@pytest.fixture(scope="module")
def address(served: dict[str, str]) -> Iterator[str]:
    command = [*HUNTAZE, "api", "--port", "0"]
    with subprocess.Popen(command, env=served, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) in (0, -signal.SIGTERM)


def test_a_creator_is_added_and_its_key_opens_the_api(served: dict[str, str], address: str) -> None:
    added = huntaze(served, "creators", "add", "ana", "--account", "onlyfans:ana", "--json")
    assert added.returncode == 0, added.stderr
    key = json.loads(added.stdout)["key"]
    assert json.loads(added.stdout)["accounts"] == ["ana-onlyfans-ana"]

    with httpx.Client(base_url=address, headers={"X-API-Key": key}) as client:
        assert client.get("/api/campaigns").json()["total"] >= 0
        assert client.get("/health").json()["status"] == "ok"
        rotated = huntaze(served, "creators", "rotate-key", "ana", "--json")
        assert json.loads(rotated.stdout)["key"] != key
        assert client.get("/api/campaigns").status_code == 401


def test_every_fault_of_a_creator_is_told_at_once(environment: dict[str, str]) -> None:
    words = ("a b", "--zone", "Mars", "--currency", "GOLD", "--account", "fax:1")

    done = huntaze(environment, "creators", "add", *words)

    assert done.returncode == 2
    for part in ("creator", "--zone", "--currency", "--account"):
        assert part in done.stderr
    assert "Traceback" not in done.stderr


def test_a_key_is_kept_nowhere_and_the_same_creator_twice_is_a_clear_refusal(
    environment: dict[str, str],
) -> None:
    first = huntaze(environment, "creators", "add", "ana", "--json")
    assert first.returncode == 0, first.stderr

    again = huntaze(environment, "creators", "add", "ana")
    bo = huntaze(environment, "creators", "add", "bo", "--account", "email:bo@example.com")
    listed = huntaze(environment, "creators", "list", "--json").stdout

    assert again.returncode == 1
    assert "rotate-key ana" in again.stderr
    assert [row["id"] for row in json.loads(listed)] == ["ana", "bo"]
    assert bo.stdout.startswith("account bo-email-bo@example.com\nAPI key of bo ")
    assert json.loads(first.stdout)["key"] not in listed


@pytest.mark.slow
def test_a_port_that_is_taken_is_said_in_one_line(served: dict[str, str], address: str) -> None:
    port = address.rpartition(":")[2]

    done = huntaze(served, "api", "--port", port)

    assert done.returncode == 3
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_huge_body_is_refused_before_it_was_sent(address: str) -> None:
    import socket

    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall(
            b"POST /api/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 99999999999\r\n\r\n"
        )
        assert raw.recv(4096).startswith(b"HTTP/1.1 413")

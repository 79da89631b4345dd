"""One platform's connections, on sockets that answer what a test tells them."""

import asyncio
from collections.abc import Sequence

import pytest

from huntaze_pipeline.delivery.platforms.base import Kind, Outcome
from huntaze_pipeline.delivery.platforms.wire import Answer, Wire

OK = b"HTTP/1.1 200 OK\r\nset-cookie: session=maya\r\ncontent-length: 2\r\n\r\n{}"


def asked(
    answers: Sequence[bytes], url: str = "http://127.0.0.1:{port}", calls: int = 1
) -> tuple[list[bytes], list[Answer | Outcome]]:
    """Make calls one after the other; return what the server read and what the calls gave."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                heads.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(answers[min(len(heads), len(answers)) - 1])
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def run() -> list[Answer | Outcome]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("http_proxy", f"http://user:word@127.0.0.1:{port}")
            wire = Wire(url.format(port=port))
            found = [await wire.call("GET", "/x", timeout_s=5, headers={}) for _ in range(calls)]
            await wire.close()
        server.close()
        return found

    return heads, asyncio.run(run())


def test_calls_one_after_the_other_share_a_connection_and_no_cookie() -> None:
    heads, found = asked([OK], calls=2)
    assert [answer.status for answer in found if isinstance(answer, Answer)] == [200, 200]
    assert not any(b"cookie" in head.lower() for head in heads)


def test_a_redirection_is_an_answer_and_is_not_followed() -> None:
    heads, found = asked([b"HTTP/1.1 302 X\r\nlocation: /y\r\ncontent-length: 0\r\n\r\n", OK])
    assert isinstance(found[0], Answer)
    assert (found[0].status, len(heads)) == (302, 1)


def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n"
    _, found = asked([head + b" " * 5_000_000])
    assert isinstance(found[0], Outcome)
    assert found[0].kind is Kind.UNKNOWN


def test_the_environments_proxy_is_taken_but_not_for_this_machine() -> None:
    heads, found = asked([OK], url="http://platform.invalid")
    assert isinstance(found[0], Answer)
    assert heads[0].startswith(b"GET http://platform.invalid/x ")
    assert b"Proxy-Authorization: Basic " in heads[0]
    heads, _ = asked([OK])
    assert heads[0].startswith(b"GET /x ")
    assert b"Proxy-Authorization" not in heads[0]


def test_a_name_that_is_not_known_means_try_again() -> None:
    async def run() -> Answer | Outcome:
        wire = Wire("https://platform.invalid")
        try:
            return await wire.call("GET", "/", timeout_s=5, headers={})
        finally:
            await wire.close()

    outcome = asyncio.run(run())
    assert isinstance(outcome, Outcome)
    assert outcome.kind is Kind.RETRY

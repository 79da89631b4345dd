"""The HTTP server: whole requests only, answers in order, and nothing that brings it down."""

import asyncio
from collections.abc import Awaitable, Callable

from huntaze_pipeline.local.simulator.wire import Connection, Reply, Request

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bytes]]


def talk(handler: Callable[[Request], Reply], script: Talk) -> bytes:
    async def run() -> bytes:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)
        server = await loop.create_server(lambda: Connection(handler, set()), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(5):
            found = await script(reader, writer)
        writer.close()
        server.close()
        return found

    return asyncio.run(run())


def echo(request: Request) -> Reply:
    delay = 0.1 if request.path == "/slow" else 0
    return Reply(200, {"path": request.path, "body": request.body.decode()}, delay_s=delay)


def request(path: str, body: str = "") -> bytes:
    return f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()


def test_a_request_in_single_bytes_is_one_request() -> None:
    seen: list[str] = []

    def handler(found: Request) -> Reply:
        seen.append(found.path)
        return echo(found)

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        for byte in request("/a/long/path", "hello"):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        return await reader.readuntil(b"}")

    assert talk(handler, script).endswith(b'{"path":"/a/long/path","body":"hello"}')
    assert seen == ["/a/long/path"]


def test_answers_come_in_the_order_of_the_requests() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(request("/slow") + request("/fast"))
        return await reader.readuntil(b"}") + await reader.readuntil(b"}")

    answer = talk(echo, script)
    assert 0 < answer.index(b"/slow") < answer.index(b"/fast")


def test_what_is_no_http_ends_the_connection_and_nothing_else() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"\x16\x03\x01 this is no http\r\n\r\n")
        return await reader.read()

    assert talk(echo, script) == b""


def test_a_handler_that_fails_is_a_500_and_the_connection_goes_on() -> None:
    def handler(found: Request) -> Reply:
        if found.path == "/bad":
            raise ValueError("bad")
        return echo(found)

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(request("/bad"))
        first = await reader.readuntil(b"}")
        writer.write(request("/good"))
        return first + await reader.readuntil(b"}")

    answer = talk(handler, script)
    assert answer.startswith(b"HTTP/1.1 500")
    assert b"HTTP/1.1 200" in answer


def test_a_body_over_the_limit_is_refused_and_not_kept() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(request("/big", "x" * (4 * 1024 * 1024 + 1)))
        return await reader.readuntil(b"}")

    assert talk(echo, script).startswith(b"HTTP/1.1 413")

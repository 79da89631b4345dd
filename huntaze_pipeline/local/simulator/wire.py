"""HTTP/1.1 on a socket, as fast as Python lets it be, with answers that can be lost on purpose.

A request is handed over the moment its last byte has been read; the answer may be late, never come,
or be a reset. Routes and their meaning belong to `dialects` and `app`.
"""

import asyncio
import json
import socket
import struct
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast
from urllib.parse import parse_qsl, unquote

import httptools

_REASONS = {
    200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 413: "Content Too Large", 422: "Unprocessable Content",
    429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable",
}  # fmt: skip
_LARGEST = 4 * 1024 * 1024
_RESET = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Request:
    """One request, read to its end."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any] | None:
        """Return the body as a JSON object, or nothing if it is none."""
        try:
            value = json.loads(self.body or b"{}")
        except ValueError:
            return None
        return value if isinstance(value, dict) else None


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, and how it gets lost if it does."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0
    lost: Literal["reset", "silent"] | str | None = None

    def encode(self) -> bytes:
        """Return the bytes that go over the wire."""
        body = json.dumps(self.body, separators=(",", ":")).encode()
        extra = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        head = (
            f"HTTP/1.1 {self.status} {_REASONS.get(self.status, 'Status')}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n{extra}\r\n"
        )
        return head.encode() + body


Handler = Callable[[Request], Reply]


class Connection(asyncio.Protocol):
    """One client; its requests are answered in order."""

    def __init__(self, handler: Handler, open_: set["Connection"]) -> None:
        self._handler = handler
        self._open = open_
        self._parser = httptools.HttpRequestParser(self)
        self._replies: deque[tuple[Reply, bool]] = deque()
        self._begin()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the socket."""
        self.transport = cast(asyncio.Transport, transport)
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop what nobody waits for."""
        self._replies.clear()
        self._open.discard(self)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; what is no HTTP ends the connection."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.close()

    def on_message_begin(self) -> None:
        """Start a request."""
        self._begin()

    def on_url(self, url: bytes) -> None:
        """Collect the target, which may come in pieces."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """Collect the body."""
        self._size += len(body)
        if self._size <= _LARGEST:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """Answer: the request has been read to its end at this very moment."""
        target = httptools.parse_url(self._url)
        request = Request(
            self._parser.get_method().decode(), unquote((target.path or b"/").decode()),
            dict(parse_qsl((target.query or b"").decode())), self._headers, b"".join(self._body),
        )  # fmt: skip
        keep = self._parser.should_keep_alive()
        reply = Reply(413, {"error": "too large"}) if self._size > _LARGEST else self._ask(request)
        self._replies.append((reply, keep))
        if len(self._replies) == 1:
            self._schedule()

    def _begin(self) -> None:
        self._url, self._size = b"", 0
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []

    def _ask(self, request: Request) -> Reply:
        try:
            return self._handler(request)
        except Exception as error:
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"{request.method} {request.path} failed", "exception": error}
            )
            return Reply(500, {"error": "internal error"})

    def _schedule(self) -> None:
        reply, _ = self._replies[0]
        if reply.delay_s > 0:
            asyncio.get_running_loop().call_later(reply.delay_s, self._send)
        else:
            self._send()

    def _send(self) -> None:
        if not self._replies or self.transport.is_closing():
            return
        reply, keep = self._replies[0]
        if reply.lost == "reset":
            self._reset()
        elif reply.lost is None:
            self.transport.write(reply.encode())
            self._replies.popleft()
            if not keep:
                self.transport.close()
            elif self._replies:
                self._schedule()

    def _reset(self) -> None:
        """End the connection with a TCP reset instead of a farewell."""
        reset(self.transport)


def reset(transport: asyncio.Transport) -> None:
    """Send a TCP reset: the peer sees "connection reset by peer"."""
    peer = transport.get_extra_info("socket")
    if peer is not None:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()

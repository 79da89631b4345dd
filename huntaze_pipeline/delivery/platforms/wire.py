"""HTTP calls of a platform: pooled connections, and every failure told apart by what it means.

Whether the request had begun to leave when the call failed decides between "try again" and "it may
have been accepted". What a platform's own codes mean belongs to its adapter.
"""

import asyncio
import json
import math
import os
import ssl
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import certifi
from aiohttp.connector import Connection
from yarl import URL

from huntaze_pipeline.clock import Clock, system_clock
from huntaze_pipeline.delivery.platforms.base import Kind, Outcome

_IDLE_S = 4.0
"""Idle connections go before servers drop them (most after 5 s): a call on a dead one ends
unknown."""
_LARGEST = 4 * 1024 * 1024
"""Bytes of an answer; no platform says more about a message."""
_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_LOCAL = ("127.0.0.1", "localhost", "::1")
AMBIGUOUS = (502, 504)
"""A gateway speaks; what is behind it may have taken the message."""
_PASSING = (408, 425)
_WORDS = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """What a platform answered; the body is empty if it was no JSON object."""

    status: int
    headers: Mapping[str, str]
    body: Mapping[str, Any]

    @property
    def ok(self) -> bool:
        """Whether the status says success."""
        return 200 <= self.status < 300


class Wire:
    """One platform's connections, shared by all calls of one event loop."""

    def __init__(self, base_url: str, *, clock: Clock = system_clock) -> None:
        self.base_url = base_url.rstrip("/")
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    async def call(
        self, method: str, path: str, *, timeout_s: float, headers: Mapping[str, str],
        body: Mapping[str, Any] | None = None, query: Mapping[str, str] | None = None,
    ) -> Answer | Outcome:  # fmt: skip
        """Make one call; a failure of the network is an `Outcome`, never an exception."""
        left = _Departure(timeout_s)
        _CALL.set(left)
        try:
            data = None if body is None else _json(body).encode()
            kind = {} if data is None else {"Content-Type": "application/json"}
            async with (
                asyncio.timeout(timeout_s),
                self._opened().request(
                    method, URL(self.base_url + path, encoded=True), data=data,
                    headers={**kind, **headers}, params=query, allow_redirects=False,
                ) as answer,
            ):  # fmt: skip
                content = await _read(answer)
        except UnicodeError:
            return Outcome(Kind.REFUSED, detail="the message holds characters that cannot be sent")
        except (TimeoutError, aiohttp.ClientError, ValueError, OSError) as error:
            return left.outcome(error)
        return Answer(answer.status, answer.headers, _object(content))

    def verdict(self, answer: Answer, detail: str | None, *, repeatable: bool) -> Outcome:
        """Say what an HTTP status other than success means; `repeatable`: twice is once there."""
        after = self.retry_after(answer)
        if answer.status == 429:
            return Outcome(Kind.LIMITED, None, 429, after, detail)
        if answer.status in AMBIGUOUS and not repeatable:
            return Outcome(Kind.UNKNOWN, None, answer.status, after, detail)
        if answer.status == 409:
            return Outcome(Kind.UNKNOWN, None, 409, after, detail or "the same key is under way")
        if answer.status >= 500 or answer.status in _PASSING:
            return Outcome(Kind.RETRY, None, answer.status, after, detail)
        if answer.status < 400:
            detail = detail or f"unexpected answer {answer.status}: is the platform's URL right?"
            return Outcome(Kind.RETRY, None, answer.status, after, detail)
        return Outcome(Kind.REFUSED, None, answer.status, None, detail)

    def retry_after(self, answer: Answer) -> float | None:
        """Return the seconds that the header asks for; it holds seconds or a date."""
        value = answer.headers.get("retry-after")
        if value is None:
            return None
        try:
            seconds = float(value)
        except ValueError:
            until = _date(value)
            seconds = math.nan if until is None else until - self._clock().timestamp()
        return max(seconds, 0.0) if math.isfinite(seconds) else None

    async def close(self) -> None:
        """Close the connections; the next call would open new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # The sender bounds its calls; one that waited for a connection would lose its time.
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_S, ssl=_trust()),
                cookie_jar=aiohttp.DummyCookieJar(),  # one account's must not speak for the next
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
                proxy=_proxy(self.base_url), request_class=_Request,
            )  # fmt: skip
        return self._session


@cache
def _trust() -> ssl.SSLContext:
    """Read the certificates once; it takes longer than a call."""
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    return ssl.create_default_context(
        cafile=file or (None if folder else certifi.where()), capath=folder
    )


def _proxy(url: str) -> str | None:
    """Return the environment's proxy for an address; calls to this machine never take one."""
    parts, proxies = urlsplit(url), getproxies()
    host = parts.hostname or ""
    if host in _LOCAL or proxy_bypass(host):
        return None
    return proxies.get(parts.scheme) or proxies.get("all")


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    """Read an answer to its end, but not without end."""
    content = bytearray()
    async for piece in answer.content.iter_any():
        content += piece
        if len(content) > _LARGEST:
            raise aiohttp.ClientPayloadError("the answer is too large")
    return bytes(content)


class _Departure:
    """Knows whether any byte of the request has begun to leave."""

    def __init__(self, timeout_s: float) -> None:
        self._until = time.monotonic() + timeout_s
        self.gone = False

    def begin(self) -> None:
        """Note that the first byte leaves now; too late, it must not: the permit may have ended."""
        if time.monotonic() >= self._until:
            raise TimeoutError
        self.gone = True

    def outcome(self, error: Exception) -> Outcome:
        """Say what a failure means; its text may hold an address, so only its kind is told."""
        what = "time-out" if isinstance(error, TimeoutError) else type(error).__name__
        if self.gone:
            return Outcome(Kind.UNKNOWN, detail=f"{what} after the request was written")
        return Outcome(Kind.RETRY, detail=f"{what} before the request was written")


_CALL: ContextVar[_Departure] = ContextVar("departure")


class _Request(aiohttp.ClientRequest):
    """A request that tells its call when it leaves."""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        """Write it to a connection that is there."""
        _CALL.get().begin()
        return await super().send(conn)


def header(text: str) -> str:
    """Return a text as a header can carry it: what is not plain ASCII is percent-encoded."""
    return quote(text, safe="!$&'()*+,/:;=@-._~")


def words(text: object, *secrets: str) -> str:
    """Return a platform's own words for a log: one short line without secrets."""
    line = " ".join(str(text).split())
    for secret in secrets:
        line = line.replace(secret, "…") if secret else line
    return line[:_WORDS]


def _object(content: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(content)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _date(value: str) -> float | None:
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None

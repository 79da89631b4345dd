"""HTTP calls of a platform: pooled connections, and every failure told apart by what it means.

Whether the request had begun to leave when the call failed decides between "try again" and "it may
have been accepted". What a platform's own codes mean belongs to its adapter.
"""

import asyncio
import contextlib
import json
import math
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any
from urllib.parse import quote

import httpx

from huntaze_pipeline.clock import Clock, system_clock
from huntaze_pipeline.delivery.platforms.base import Kind, Outcome

_ONE = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=4)
"""Idle ones go before servers drop them (most after 5 s): a call on a dead one ends unknown."""
_LANES = 256
_AMBIGUOUS = (502, 504)
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
        self._idle: list[httpx.AsyncClient] = []

    async def call(
        self, method: str, path: str, *, timeout_s: float, headers: Mapping[str, str],
        body: Mapping[str, Any] | None = None, query: Mapping[str, str] | None = None,
    ) -> Answer | Outcome:  # fmt: skip
        """Make one call; a failure of the network is an `Outcome`, never an exception."""
        left = _Departure()
        try:
            async with asyncio.timeout(timeout_s), self._lane() as lane:
                answer = await lane.request(
                    method, self.base_url + path, headers=dict(headers), params=query,
                    json=body, extensions={"trace": left.note},
                )  # fmt: skip
        except UnicodeError:
            return Outcome(Kind.REFUSED, detail="the message holds characters that cannot be sent")
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return left.outcome(error)
        return Answer(answer.status_code, answer.headers, _object(answer.content))

    def verdict(self, answer: Answer, detail: str | None, *, repeatable: bool) -> Outcome:
        """Say what an HTTP status other than success means; `repeatable`: twice is once there."""
        after = self.retry_after(answer)
        if answer.status == 429:
            return Outcome(Kind.LIMITED, None, 429, after, detail)
        if answer.status in _AMBIGUOUS and not repeatable:
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
        idle, self._idle = self._idle, []
        for lane in idle:
            await lane.aclose()

    @contextlib.asynccontextmanager
    async def _lane(self) -> AsyncIterator[httpx.AsyncClient]:
        """Lend a client of one connection: httpx's own pool takes longer the fuller it is."""
        lane = self._idle.pop() if self._idle else self._open()
        try:
            yield lane
        finally:
            lane.cookies.clear()  # one account's session must not speak for the next
            if len(self._idle) < _LANES:
                self._idle.append(lane)
            else:
                await lane.aclose()

    def _open(self) -> httpx.AsyncClient:
        # Calls to this machine never go through a proxy of the environment.
        direct = {"all://127.0.0.1": None, "all://localhost": None}
        return httpx.AsyncClient(timeout=None, limits=_ONE, mounts=direct, verify=_trust())


@cache
def _trust() -> ssl.SSLContext:
    """Read the certificates once; it takes longer than a call."""
    return httpx.create_ssl_context()


class _Departure:
    """Knows whether any byte of the request has begun to leave."""

    def __init__(self) -> None:
        self.gone = False

    async def note(self, event: str, info: Any) -> None:
        """Listen to the steps of a call."""
        if "send_request_headers.started" in event:
            self.gone = True

    def outcome(self, error: Exception) -> Outcome:
        """Say what a failure means; its text may hold an address, so only its kind is told."""
        what = "time-out" if isinstance(error, TimeoutError) else type(error).__name__
        if self.gone:
            return Outcome(Kind.UNKNOWN, detail=f"{what} after the request was written")
        return Outcome(Kind.RETRY, detail=f"{what} before the request was written")


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

"""One request to a server outside: pinned address, no redirects, a time and a size that end it.

Belongs here: bytes on the wire. What is sent and what an answer means is `courier`'s business.
"""

import asyncio
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx

from huntaze_pipeline.webhooks import address

SECONDS = 10.0
"""For the whole exchange, however slowly the other side speaks."""
LARGEST = 64 * 1024
"""Bytes of a request, and of an answer that are read."""
_KEPT = 300
_OURS = ("host", "content-type", "content-length", "transfer-encoding", "connection", "upgrade")
"""Headers that no rule may set: they say how the request itself is to be read."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one request."""

    status: int | None
    """None: there was no answer."""
    reason: str | None = None
    """Why it did not succeed; None for 2xx."""
    final: bool = False
    """Trying again is no use."""
    wait_s: float | None = None
    """How long the other side asks us to wait."""
    text: str = ""
    """How the answer begins."""
    took_ms: int = 0


@dataclass(frozen=True)
class Wire:
    """How requests are made; tests give their own networks and certificates."""

    allowed: Sequence[address.Network] = ()
    context: ssl.SSLContext | None = None
    seconds: float = SECONDS

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send a request and say what came of it; never raises for what the network does."""
        started = time.monotonic()
        answer = await self._post(url, body, headers)
        took = int((time.monotonic() - started) * 1000)
        return Answer(answer.status, answer.reason, answer.final, answer.wait_s, answer.text, took)

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        if len(body) > LARGEST:
            return Answer(None, f"too_large: {len(body)} of {LARGEST} bytes", final=True)
        try:
            async with asyncio.timeout(self.seconds):
                return await self._exchange(url, body, headers)
        except address.Refused as error:
            return Answer(None, f"refused: {error}", final=True)
        except TimeoutError:
            return Answer(None, f"timeout: no whole answer in {self.seconds:g} s")
        except (httpx.LocalProtocolError, httpx.InvalidURL, ValueError) as error:
            return Answer(None, f"bad_request: {error}", final=True)
        except (httpx.HTTPError, OSError) as error:
            return Answer(None, f"unreachable: {str(error) or type(error).__name__}")

    async def _exchange(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        parts = address.target(url)
        host, port = parts.hostname or "", parts.port or 443
        pinned = await address.resolve(host, port, self.allowed)
        known = httpx.URL(url)
        place = known.copy_with(host=str(pinned))
        named = {k: v for k, v in headers.items() if k.lower() not in _OURS}
        named |= {"host": known.netloc.decode(), "content-type": "application/json"}
        client = httpx.AsyncClient(
            verify=self.context or ssl.create_default_context(), trust_env=False,
            follow_redirects=False, timeout=self.seconds,
        )  # fmt: skip
        async with client:
            request = client.build_request(
                "POST", place, content=body, headers=named,
                extensions={"sni_hostname": known.raw_host.decode()},
            )  # fmt: skip
            response = await client.send(request, stream=True)
            try:
                return _judge(response, await _beginning(response))
            finally:
                await response.aclose()


async def _beginning(response: httpx.Response) -> bytes:
    """Read an answer as it comes (packed or not), up to the limit."""
    read = b""
    async for part in response.aiter_raw():
        read += part
        if len(read) >= LARGEST:
            break
    return read[:LARGEST]


def _judge(response: httpx.Response, read: bytes) -> Answer:
    status = response.status_code
    text = read[:_KEPT].decode("utf-8", "replace").replace("\x00", "")
    if 200 <= status < 300:
        return Answer(status, text=text)
    if status == 410:
        return Answer(status, "gone", final=True, text=text)
    if 300 <= status < 400:
        return Answer(status, "redirect: not followed", text=text)
    after = response.headers.get("retry-after", "")
    return Answer(
        status, f"status {status}", False, float(after) if after.isdigit() else None, text
    )

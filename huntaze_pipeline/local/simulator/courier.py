"""Posts receipts to the webhook: signed, in batches, at least once, slower while it refuses.

What is due and what was taken is `outbound`'s memory.
"""

import asyncio
import hashlib
import hmac
import json
import logging

import httpx

from huntaze_pipeline.local.simulator.desk import Desk

SIGNATURE = "X-Huntaze-Signature"

_SLOWEST_S = 15.0
_FASTEST_S = 0.2
_IDLE_S = 0.1
_log = logging.getLogger(__name__)


def sign(secret: bytes, body: bytes) -> str:
    """Return the value of the signature header for a raw body."""
    return "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()


class Courier:
    """One loop that posts what is due until it is stopped."""

    def __init__(self, desk: Desk, secret: bytes) -> None:
        self._desk = desk
        self._secret = secret
        self._client = httpx.AsyncClient(timeout=httpx.Timeout(15, connect=5))
        self._pause_s = _FASTEST_S

    async def run(self) -> None:
        """Post until cancelled."""
        try:
            while True:
                await asyncio.sleep(await self.turn())
        finally:
            await self._client.aclose()

    async def turn(self) -> float:
        """Post one batch if something is due; return the seconds to wait before the next turn."""
        settings = self._desk.behaviour.receipts
        if settings.webhook is None:
            return _IDLE_S
        batch = self._desk.outbound.due(self._desk.clock(), settings.batch)
        if not batch:
            return self._until_due()
        dues = [due for due, _ in batch]
        if await self._post(settings.webhook, [receipt for _, receipt in batch]):
            self._desk.outbound.confirm(dues)
            self._pause_s = _FASTEST_S
            return 0.0
        self._desk.outbound.put_back(dues)
        self._pause_s = min(self._pause_s * 2, _SLOWEST_S)
        return self._pause_s

    def _until_due(self) -> float:
        at = self._desk.outbound.next_at()
        now = self._desk.clock().timestamp()
        return _IDLE_S if at is None else min(max(at - now, 0.001), _IDLE_S)

    async def _post(self, url: str, receipts: list[dict[str, object]]) -> bool:
        body = json.dumps({"receipts": receipts}, separators=(",", ":")).encode()
        headers = {"Content-Type": "application/json", SIGNATURE: sign(self._secret, body)}
        try:
            answer = await self._client.post(url, content=body, headers=headers)
        except httpx.HTTPError as error:
            _log.warning("the webhook %s did not take receipts: %s", url, type(error).__name__)
            return False
        if not answer.is_success:
            _log.warning("the webhook %s answered %s", url, answer.status_code)
        return answer.is_success

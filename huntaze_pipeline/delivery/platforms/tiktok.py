"""TikTok's business messaging interface: replies into conversations that the fan began.

Every answer is HTTP 200; the envelope's `code` tells success from failure. It has no field for the
sender's own id and honours no idempotency key; a lost answer is looked for in the conversation.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from huntaze_pipeline.clock import Clock, system_clock
from huntaze_pipeline.delivery.platforms.base import Capabilities, Kind, Outcome, Outgoing
from huntaze_pipeline.delivery.platforms.credentials import Credential, Credentials
from huntaze_pipeline.delivery.platforms.wire import Answer, Wire, header, words

CAPABILITIES = Capabilities("tiktok", max_length=6_000, unknown="look_up", reply_window_s=172_800)
_PATH = "/open_api/v1.3/business/message"
_LIMITED = (40064, 40100, 40133)
"""Messages too fast; requests too fast."""
_SYSTEM = 50_000
"""Codes from here on are failures of TikTok's own."""
_RECENT = timedelta(hours=1)


class TikTok:
    """The interface for all TikTok accounts; a fan's address is the id of the conversation."""

    capabilities = CAPABILITIES

    def __init__(
        self, wire: Wire, credentials: Credentials, *, clock: Clock = system_clock
    ) -> None:
        self._wire = wire
        self._credentials = credentials
        self._clock = clock

    async def send(self, message: Outgoing, *, timeout_s: float) -> Outcome:
        """Send one message; the time-out bounds the whole call."""
        credential = self._credentials.of(message.account_id)
        if credential is None:
            return Outcome(Kind.REFUSED, detail=f"no token for account {message.account_id}")
        answer = await self._wire.call(
            "POST", f"{_PATH}/send/", timeout_s=timeout_s,
            headers={
                "Access-Token": credential.token,
                "X-Client-Reference": header(message.message_id),
            },
            body={
                "business_id": credential.user, "recipient_type": "CONVERSATION",
                "recipient": message.address, "message_type": "TEXT",
                "text": {"body": message.content},
            },
        )  # fmt: skip
        return answer if isinstance(answer, Outcome) else self._sent(answer, credential)

    async def look_up(self, message: Outgoing, *, timeout_s: float) -> Outcome:
        """Read the conversation's last messages: SENT if the text is among them, else UNKNOWN."""
        credential = self._credentials.of(message.account_id)
        if credential is None:
            return Outcome(Kind.UNKNOWN, detail=f"no token for account {message.account_id}")
        answer = await self._wire.call(
            "GET", f"{_PATH}/content/list/", timeout_s=timeout_s,
            headers={"Access-Token": credential.token},
            query={"business_id": credential.user, "conversation_id": message.address},
        )  # fmt: skip
        if isinstance(answer, Outcome) or not answer.ok or answer.body.get("code") != 0:
            return Outcome(Kind.UNKNOWN, detail="the conversation could not be read")
        try:
            return self._among(_data(answer).get("messages") or [], message, credential)
        except (TypeError, AttributeError):
            return Outcome(Kind.UNKNOWN, detail="the conversation is not as documented")

    async def close(self) -> None:
        """Release connections."""
        await self._wire.close()

    def _sent(self, answer: Answer, credential: Credential) -> Outcome:
        code = answer.body.get("code")
        if not answer.ok or not isinstance(code, int):
            if answer.ok:
                return Outcome(Kind.UNKNOWN, None, answer.status, None, "an answer without a code")
            return self._wire.verdict(answer, f"{answer.status}", repeatable=False)
        if code == 0:
            return _accepted(answer)
        detail = words(f"{code} {answer.body.get('message', '')}", credential.token)
        if code in _LIMITED:
            after = self._wire.retry_after(answer)
            return Outcome(Kind.LIMITED, None, answer.status, after, detail)
        kind = Kind.RETRY if code >= _SYSTEM else Kind.REFUSED
        return Outcome(kind, None, answer.status, None, detail)

    def _among(self, kept: list[Any], message: Outgoing, credential: Credential) -> Outcome:
        oldest = (self._clock() - _RECENT).timestamp() * 1000
        for one in kept:
            text = (one.get("text") or {}).get("body")
            mine = one.get("sender") == credential.user and text == message.content
            if mine and one.get("timestamp", 0) >= oldest:
                return Outcome(Kind.SENT, str(one.get("message_id")), 200)
        return Outcome(Kind.UNKNOWN, None, 200, None, "not among the conversation's last messages")


def _accepted(answer: Answer) -> Outcome:
    message = _data(answer).get("message")
    inner = message.get("message_id") if isinstance(message, dict) else None
    ref = inner or _data(answer).get("message_id")
    return Outcome(Kind.SENT, str(ref) if ref else None, answer.status)


def _data(answer: Answer) -> Mapping[str, Any]:
    data = answer.body.get("data")
    return data if isinstance(data, dict) else {}

"""Instagram's messaging interface (Graph API): replies within 24 hours of the fan's last message.

It has no field for the sender's own id and honours no idempotency key. After a lost answer the
conversation is read: finding the text proves that it was sent; not finding it proves nothing.
"""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from huntaze_pipeline.clock import Clock, system_clock
from huntaze_pipeline.delivery.platforms.base import Capabilities, Kind, Outcome, Outgoing
from huntaze_pipeline.delivery.platforms.credentials import Credential, Credentials
from huntaze_pipeline.delivery.platforms.wire import Answer, Wire, header, words

CAPABILITIES = Capabilities("instagram", max_length=1_000, unknown="look_up", reply_window_s=86_400)
_LIMITED = (4, 17, 32, 613, 80001, 80002, 80006)
"""Codes of application, user, page and business-use-case rate limits."""
_PASSING = (1, 2)
_RECENT = timedelta(hours=1)
_USAGE = "x-business-use-case-usage"
_BYTES = 1_000


class Instagram:
    """The Graph API for all Instagram accounts."""

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
        if len(message.content.encode("utf-8", "surrogatepass")) > _BYTES:
            return Outcome(Kind.REFUSED, detail=f"the text is longer than {_BYTES} bytes of UTF-8")
        answer = await self._wire.call(
            "POST", f"/{quote(credential.user, safe='')}/messages", timeout_s=timeout_s,
            headers={**_bearer(credential), "X-Client-Reference": header(message.message_id)},
            body={"recipient": {"id": message.address}, "message": {"text": message.content}},
        )  # fmt: skip
        return answer if isinstance(answer, Outcome) else self._sent(answer, credential)

    async def look_up(self, message: Outgoing, *, timeout_s: float) -> Outcome:
        """Read the conversation's last messages: SENT if the text is among them, else UNKNOWN."""
        credential = self._credentials.of(message.account_id)
        if credential is None:
            return Outcome(Kind.UNKNOWN, detail=f"no token for account {message.account_id}")
        answer = await self._wire.call(
            "GET", f"/{quote(credential.user, safe='')}/conversations", timeout_s=timeout_s,
            headers=_bearer(credential), query={
                "platform": "instagram", "user_id": message.address,
                "fields": "messages{id,from,message,created_time}",
            },
        )  # fmt: skip
        if isinstance(answer, Outcome) or not answer.ok:
            return Outcome(Kind.UNKNOWN, detail="the conversation could not be read")
        try:
            return self._among(_messages(answer.body), message, credential)
        except (ValueError, TypeError, AttributeError):
            return Outcome(Kind.UNKNOWN, detail="the conversation is not as documented")

    async def close(self) -> None:
        """Release connections."""
        await self._wire.close()

    def _sent(self, answer: Answer, credential: Credential) -> Outcome:
        if answer.ok and "message_id" in answer.body:
            return Outcome(Kind.SENT, str(answer.body["message_id"]), answer.status)
        if answer.ok:
            return Outcome(Kind.UNKNOWN, None, answer.status, None, "success without a message id")
        error = answer.body.get("error")
        if not isinstance(error, dict):
            return self._wire.verdict(answer, f"{answer.status}", repeatable=False)
        return self._failed(answer, error, credential)

    def _failed(self, answer: Answer, error: Mapping[str, Any], who: Credential) -> Outcome:
        code, subcode = error.get("code"), error.get("error_subcode")
        place = f"{code}/{subcode}" if subcode else f"{code}"
        detail = words(f"{place} {error.get('message', '')}", who.token)
        if code in _LIMITED:
            after = self._wire.retry_after(answer)
            after = _regain(answer) if after is None else after
            return Outcome(Kind.LIMITED, None, answer.status, after, detail)
        if code in _PASSING or error.get("is_transient"):
            return Outcome(Kind.RETRY, None, answer.status, None, detail)
        return self._wire.verdict(answer, detail, repeatable=False)

    def _among(
        self, kept: list[Mapping[str, Any]], message: Outgoing, credential: Credential
    ) -> Outcome:
        oldest = self._clock() - _RECENT
        for one in kept:
            mine = _sender(one) == credential.user and one.get("message") == message.content
            if mine and _created(one) >= oldest:
                return Outcome(Kind.SENT, str(one.get("id")), 200)
        return Outcome(Kind.UNKNOWN, None, 200, None, "not among the conversation's last messages")


def _bearer(credential: Credential) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential.token}"}


def _messages(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    conversations = body.get("data") or []
    return [one for talk in conversations for one in (talk.get("messages") or {}).get("data") or []]


def _sender(one: Mapping[str, Any]) -> str | None:
    return (one.get("from") or {}).get("id")


def _created(one: Mapping[str, Any]) -> datetime:
    return datetime.strptime(str(one.get("created_time")), "%Y-%m-%dT%H:%M:%S%z")


def _regain(answer: Answer) -> float | None:
    """Return the seconds until access comes back; the header holds minutes per business."""
    try:
        usage = json.loads(answer.headers.get(_USAGE, "{}"))
        minutes = [
            float(entry["estimated_time_to_regain_access"])
            for entries in usage.values() for entry in entries
            if "estimated_time_to_regain_access" in entry
        ]  # fmt: skip
    except (ValueError, TypeError, AttributeError):
        return None
    return max(minutes) * 60 if minutes else None

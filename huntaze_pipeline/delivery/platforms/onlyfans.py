"""OnlyFans, through the owner's own gateway: three fields in, an id out, keys honoured.

OnlyFans publishes no messaging interface, so the address of a gateway is a setting. It must treat
the same `Idempotency-Key` twice as one message and find a message by its key.
"""

from urllib.parse import quote

from huntaze_pipeline.delivery.platforms.base import Capabilities, Kind, Outcome, Outgoing
from huntaze_pipeline.delivery.platforms.credentials import Credentials
from huntaze_pipeline.delivery.platforms.wire import Answer, Wire, header, words

CAPABILITIES = Capabilities(
    "onlyfans", max_length=10_000, honours_idempotency=True, unknown="resend"
)


class OnlyFans:
    """One gateway."""

    capabilities = CAPABILITIES

    def __init__(self, wire: Wire, credentials: Credentials) -> None:
        self._wire = wire
        self._credentials = credentials

    async def send(self, message: Outgoing, *, timeout_s: float) -> Outcome:
        """Send one message; the time-out bounds the whole call."""
        return await self._call(
            "POST", message, timeout_s,
            body={"recipient": message.address, "text": message.content, "key": message.message_id},
        )  # fmt: skip

    async def look_up(self, message: Outgoing, *, timeout_s: float) -> Outcome:
        """Ask the gateway for the message's key; it knows all that it has accepted."""
        return await self._call("GET", message, timeout_s, query={"key": message.message_id})

    async def close(self) -> None:
        """Release connections."""
        await self._wire.close()

    async def _call(
        self, method: str, message: Outgoing, timeout_s: float,
        body: dict[str, str] | None = None, query: dict[str, str] | None = None,
    ) -> Outcome:  # fmt: skip
        credential = self._credentials.of(message.account_id)
        if credential is None:
            return Outcome(Kind.REFUSED, detail=f"no token for account {message.account_id}")
        answer = await self._wire.call(
            method, f"/accounts/{quote(credential.user, safe='')}/messages", body=body,
            query=query, timeout_s=timeout_s, headers={
                "Authorization": f"Bearer {credential.token}",
                "Idempotency-Key": header(message.idempotency_key),
            },
        )  # fmt: skip
        if isinstance(answer, Outcome):
            return answer if method == "POST" else _unanswered(answer)
        if method == "POST":
            return self._sent(answer, credential.token)
        return _found(answer)

    def _sent(self, answer: Answer, token: str) -> Outcome:
        if answer.ok and "id" in answer.body:
            return Outcome(Kind.SENT, str(answer.body["id"]), answer.status)
        if answer.ok:
            return Outcome(Kind.UNKNOWN, None, answer.status, None, "success without an id")
        error = answer.body.get("error") or answer.body.get("message")
        detail = words(f"{answer.status} {error or ''}", token)
        return self._wire.verdict(answer, detail, repeatable=True)


def _unanswered(outcome: Outcome) -> Outcome:
    """A look-up that failed says nothing about the message, however it failed."""
    return Outcome(Kind.UNKNOWN, None, outcome.status_code, None, outcome.detail)


def _found(answer: Answer) -> Outcome:
    messages = answer.body.get("messages")
    if not answer.ok or not isinstance(messages, list):
        return Outcome(Kind.UNKNOWN, None, answer.status, None, f"look-up answered {answer.status}")
    if messages:
        first = messages[0]
        ref = first.get("id") if isinstance(first, dict) else None
        return Outcome(Kind.SENT, str(ref) if ref else None, answer.status)
    return Outcome(Kind.RETRY, None, answer.status, None, "the gateway has not accepted it")

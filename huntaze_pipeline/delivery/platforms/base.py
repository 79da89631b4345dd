"""The protocol every platform speaks: what it can do, how a message is sent, what came of it.

An answer is a value. `Outcome.kind` says what the sender must do next; adapters never raise for
anything that a platform or the network did.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a platform allows; the planner refuses what it cannot do, before anything is queued."""

    platform: str
    max_length: int
    """Characters of the body."""
    subject: bool = False
    honours_idempotency: bool = False
    """The same idempotency key twice is one message there."""
    unknown: Literal["resend", "look_up", "park"] = "park"
    """After a lost answer: resend with the same key, ask the platform, or leave it to a person."""
    reply_window_s: int | None = None
    """A message may go only within this long after the fan's last one (Instagram: 86 400)."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What goes over the wire for one message."""

    message_id: str
    account_id: str
    address: str
    subject: str | None
    content: str
    idempotency_key: str


class Kind(str, Enum):
    """What the platform's answer means for the message."""

    SENT = "sent"
    RETRY = "retry"
    """It failed there and was not accepted (5xx, connection refused): try again, counted."""
    REFUSED = "refused"
    """It will never be accepted (bad recipient, blocked, banned): failed for good."""
    LIMITED = "limited"
    """Too fast (429): not a failure, not an attempt; wait `retry_after_s`."""
    UNKNOWN = "unknown"
    """It may have been accepted (time-out or reset after the request was written)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The platform's answer to one call."""

    kind: Kind
    platform_ref: str | None = None
    status_code: int | None = None
    retry_after_s: float | None = None
    detail: str | None = None


class Platform(Protocol):
    """One platform's door."""

    capabilities: Capabilities

    async def send(self, message: Outgoing, *, timeout_s: float) -> Outcome:
        """Send one message; the time-out bounds the whole call."""
        ...

    async def look_up(self, message: Outgoing, *, timeout_s: float) -> Outcome:
        """Ask whether a message was accepted: SENT, RETRY (it was not) or UNKNOWN (no answer)."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...

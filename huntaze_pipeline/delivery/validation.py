"""The checks of a single message before it becomes a row: every fault at once, each with its place.

Pure: works on what was read from the books. Not here: reading and writing (`messages`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from huntaze_pipeline.delivery.limiter import BANDS
from huntaze_pipeline.delivery.plain import storable
from huntaze_pipeline.delivery.platforms.base import Capabilities
from huntaze_pipeline.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A single message as it was asked for."""

    recipient: str
    """The fan's id."""
    content: str
    priority: str = "medium"
    """high, medium or low"""
    platform: str = "onlyfans"
    account_id: str | None = None
    """The sending account; None: the one that talks to the fan."""
    subject: str | None = None
    """For e-mail."""
    topic: str | None = None
    """What it is about: it passes that topic's gates. None: somebody's own words to this fan, which
    only a consent to marketing that was withdrawn stops."""
    send_at: datetime | None = None
    """Not before this."""
    expires_at: datetime | None = None
    """Not after this."""
    key: str | None = None
    """The caller's idempotency key; the same key and message again is the same message."""

    @property
    def about(self) -> str:
        """What the fan's consent is asked about."""
        return self.topic or "marketing"


@dataclass(frozen=True, slots=True)
class Recipient:
    """What the books know of a fan on a platform."""

    fan_id: str
    account_id: str
    address: str
    account_status: str
    suppressed: str | None
    """Why the address must never be written to, or None."""
    consent: bool | None
    """The fan's answer on the topic, None when there is none."""
    last_inbound_at: datetime | None


def faults(
    request: Request,
    recipient: Recipient | None,
    capabilities: Mapping[str, Capabilities],
    now: datetime,
) -> list[Problem]:
    """Return everything that is wrong; an empty list means the message can be accepted."""
    found = _texts(request)
    known = capabilities.get(request.platform)
    if known is None:
        names = ", ".join(capabilities)
        found.append(Problem("platform", f"{request.platform!r} is none of {names}"))
    else:
        found += _fits(request, known)
    found += _times(request, now)
    if recipient is not None:
        found += _allowed(request, recipient)
        found += _window(known, recipient, now)
    elif known is not None:
        where = f" through account {request.account_id}" if request.account_id else ""
        what = f"no fan {request.recipient!r} is known on {request.platform}{where}"
        found.append(Problem("recipientId", what))
    return found


def unstorable(request: Request) -> list[Problem]:
    """Return the texts that no row can hold, nor a question to the database."""
    texts = {
        "recipientId": request.recipient, "accountId": request.account_id, "topic": request.topic,
        "content": request.content, "subject": request.subject, "key": request.key,
    }  # fmt: skip
    found = []
    for name, text in texts.items():
        if "\x00" in (text or ""):
            found.append(Problem(name, "holds a NUL character"))
        elif text and storable(text) != text:
            found.append(Problem(name, "holds half a character; write it in UTF-8"))
    return found


def _texts(request: Request) -> list[Problem]:
    found = []
    if not request.content.strip():
        found.append(Problem("content", "is empty; write what the fan should read"))
    found += unstorable(request)
    if request.priority not in BANDS:
        found.append(Problem("priority", f"{request.priority!r} is none of {', '.join(BANDS)}"))
    if request.key is not None and not 0 < len(request.key) <= 255:
        found.append(Problem("key", "must have 1 to 255 characters"))
    return found


def _fits(request: Request, known: Capabilities) -> list[Problem]:
    found = []
    if len(request.content) > known.max_length:
        what = f"has {len(request.content)} characters; {known.platform} takes {known.max_length}"
        found.append(Problem("content", what))
    if request.subject is not None and not known.subject:
        found.append(Problem("subject", f"{known.platform} messages have no subject"))
    return found


def _times(request: Request, now: datetime) -> list[Problem]:
    found = []
    for name, at in (("sendAt", request.send_at), ("expiresAt", request.expires_at)):
        if at is not None and at.tzinfo is None:
            found.append(Problem(name, "has no zone; write 2026-03-02T12:00:00Z"))
    if found:
        return found
    if request.expires_at is not None and request.expires_at <= (request.send_at or now):
        found.append(Problem("expiresAt", "is not after the time of sending"))
    return found


def _allowed(request: Request, recipient: Recipient) -> list[Problem]:
    found = []
    if recipient.suppressed is not None:
        what = f"this address must not be written to ({recipient.suppressed})"
        found.append(Problem("recipientId", what))
    if recipient.consent is False:
        what = f"the fan withdrew consent to {request.about!r}"
        found.append(Problem("recipientId", what))
    if recipient.account_status != "active":
        what = f"account {recipient.account_id} is {recipient.account_status}"
        found.append(Problem("accountId", what))
    return found


def _window(known: Capabilities | None, recipient: Recipient, now: datetime) -> list[Problem]:
    """Some platforms take a message only within a while after the fan's last one."""
    if known is None or known.reply_window_s is None:
        return []
    last = recipient.last_inbound_at
    if last is not None and now - last <= timedelta(seconds=known.reply_window_s):
        return []
    hours = known.reply_window_s // 3600
    said = "never wrote to this account" if last is None else f"last wrote at {last.isoformat()}"
    what = f"{known.platform} takes messages for {hours} h after the fan's last; the fan {said}"
    return [Problem("recipientId", what)]

"""An e-mail as bytes: text and escaped HTML, one-click unsubscribe (RFC 8058), a stable id.

Pure: no socket and no clock. How it travels is `smtp`'s and `ses`'s business.
"""

import hashlib
import hmac
import html
import re
from dataclasses import dataclass, field
from datetime import datetime
from email import policy
from email.errors import MessageError
from email.headerregistry import Address, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import Policy
from email.utils import format_datetime

from huntaze_pipeline.delivery.platforms.base import Outgoing

DOMAIN = "creators.example"
"""The sender's domain for accounts whose id is no address, until a setting names another."""

_TRAP = '<a href="{}" style="display:none" tabindex="-1" aria-hidden="true" rel="nofollow"></a>'
_LINK = re.compile(r"https?://[^\s<>\"']+[^\s<>\"'.,;:!?)]")


class _Whole(UnstructuredHeader):
    """A header that is never folded: a link cut by the encoder unsubscribes nobody."""

    def fold(self, *, policy: Policy) -> str:
        return f"{self.name}: {self}{policy.linesep}"  # pyright: ignore[reportAttributeAccessIssue]


_HEADERS = HeaderRegistry()
for _name in ("list-unsubscribe", "x-huntaze-message", "message-id"):
    _HEADERS.map_to_type(_name, _Whole)  # pyright: ignore[reportArgumentType]
_POLICY = policy.SMTP.clone(header_factory=_HEADERS)


@dataclass(frozen=True, slots=True)
class Letterhead:
    """What all letters of a sender share."""

    domain: str = DOMAIN
    unsubscribe_url: str = "http://127.0.0.1:8400/unsubscribe"
    secret: bytes = field(default=b"", repr=False)
    hidden: str | None = None
    """A link that people do not see: who follows it is a machine. None: letters have none."""

    def link(self, message_id: str) -> str:
        """Return the address that unsubscribes this message's recipient."""
        return f"{self.unsubscribe_url}/{message_id}?token={token(self.secret, message_id)}"


@dataclass(frozen=True, slots=True)
class Letter:
    """A finished letter and its envelope."""

    sender: str
    recipient: str
    content: bytes = field(repr=False)


def token(secret: bytes, message_id: str) -> str:
    """Return the proof that an unsubscribe link was made by us for this message."""
    return hmac.new(secret, b"unsubscribe:" + message_id.encode(), hashlib.sha256).hexdigest()[:32]


def compose(message: Outgoing, head: Letterhead, now: datetime) -> Letter:
    """Write the letter.

    Raises:
        ValueError: an address cannot be used; the message says which and why.
    """
    sender = _address(message.account_id if "@" in message.account_id else None, head, message)
    recipient = _parsed(message.address)
    mail = EmailMessage(policy=_POLICY)
    mail["From"], mail["To"] = sender, recipient
    mail["Subject"] = " ".join((message.subject or "").split()) or "(no subject)"
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{_plain(message.message_id)}@{sender.domain}>"
    mail["X-Huntaze-Message"] = _plain(message.message_id)
    link = head.link(_plain(message.message_id))
    mail["List-Unsubscribe"] = f"<{link}>"
    mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail.set_content(f"{message.content}\n\n--\nUnsubscribe: {link}\n")
    mail.add_alternative(_html(message.content, link, head.hidden), subtype="html")
    mail.set_boundary(f"=_{hashlib.sha256(message.message_id.encode()).hexdigest()[:32]}")
    return Letter(sender.addr_spec, recipient.addr_spec, mail.as_bytes())


def _address(own: str | None, head: Letterhead, message: Outgoing) -> Address:
    if own is not None:
        return _parsed(own)
    try:
        return Address(username=message.account_id, domain=head.domain)
    except (ValueError, MessageError, IndexError):
        raise ValueError(f"account {message.account_id!r} cannot be an e-mail address") from None


def _parsed(text: str) -> Address:
    """Read an address, its domain in ASCII; names outside ASCII are not supported."""
    name, _, domain = text.strip().rpartition("@")
    try:
        address = Address(addr_spec=f"{name}@{domain.encode('idna').decode()}")
    except (ValueError, MessageError, IndexError, UnicodeError):
        raise ValueError(f"{text!r} is no e-mail address") from None
    if not address.username or not address.domain or any(c.isspace() for c in address.addr_spec):
        raise ValueError(f"{text!r} is no e-mail address")
    return address


def _plain(text: str) -> str:
    """Keep what a header and a URL can hold without quoting."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", text)


def _html(text: str, link: str, hidden: str | None) -> str:
    paragraphs = "".join(f"<p>{_lines(part)}</p>" for part in re.split(r"\n\s*\n", text.strip()))
    footer = f'<p><small><a href="{html.escape(link)}">Unsubscribe</a></small></p>'
    trap = "" if hidden is None else _TRAP.format(html.escape(hidden))
    return f"<!doctype html><html><body>{paragraphs}{footer}{trap}</body></html>\n"


def _lines(text: str) -> str:
    """Escape everything; only then turn web addresses into links and line ends into breaks."""
    pieces, end = [], 0
    for match in _LINK.finditer(text):
        address = html.escape(match[0])
        pieces += [html.escape(text[end : match.start()]), f'<a href="{address}">{address}</a>']
        end = match.end()
    return "".join([*pieces, html.escape(text[end:])]).replace("\n", "<br>")

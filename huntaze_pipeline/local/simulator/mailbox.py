"""The e-mail platform: an SMTP server that counts, bans, fails and refuses like the other three.

A message arrives when its last line has been read; every answer is given after that. The account is
the sender's address, without the domain if that is the simulator's own.
"""

import asyncio
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from email.utils import parseaddr
from typing import Any

from huntaze_pipeline.local.simulator.desk import Desk
from huntaze_pipeline.local.simulator.verdict import Arrival, Verdict
from huntaze_pipeline.local.simulator.wire import reset

DOMAIN = "creators.example"
"""Addresses here are accounts without an address of their own: `maya-email@creators.example`."""

_LARGEST = 4 * 1024 * 1024
_REPLIES = {
    "limited": "452 4.3.1 too much for now, try again in {after:.3f} seconds",
    "too_fast": "452 4.7.1 rate limit exceeded, try again in {after:.3f} seconds",
    "error": "451 4.3.0 temporary failure",
    "banned": "550 5.7.1 this sender has been suspended",
    "invalid": "550 5.1.1 no such user",
    "blocked": "550 5.7.1 the recipient does not want mail from this sender",
    "closed": "450 4.2.1 the mailbox takes no mail now",
}  # fmt: skip


class Mailbox:
    """Handler of one SMTP server's messages."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        """Take one recipient a message, so that every message counts once."""
        if envelope.rcpt_tos:
            return "452 4.5.3 one recipient a message"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Take one message, read to its end at this very moment."""
        letter = message_from_bytes(envelope.content)
        verdict = self._desk.receive(_arrival(letter, envelope.mail_from, envelope.rcpt_tos[0]))
        if verdict.delay_s:
            await asyncio.sleep(verdict.delay_s)
        if verdict.lost == "reset":
            reset(server.transport)
        elif verdict.lost == "silent":
            await asyncio.Event().wait()
        return _answer(verdict)


async def serve(desk: Desk, host: str, port: int) -> asyncio.Server:
    """Open the SMTP socket."""
    from aiosmtpd.smtp import SMTP

    box = Mailbox(desk)
    return await asyncio.get_running_loop().create_server(
        lambda: SMTP(
            box, hostname="simulator", data_size_limit=_LARGEST, enable_SMTPUTF8=True,
            ident="Huntaze simulator",
        ),
        host, port,
    )  # fmt: skip


def _arrival(letter: Message, sender: str, recipient: str) -> Arrival:
    address = parseaddr(str(letter["From"] or sender))[1] or sender
    name, _, domain = address.rpartition("@")
    return Arrival(
        "email", name.strip('"') if domain == DOMAIN else address, recipient,
        _named(letter, "X-Huntaze-Message"), _named(letter, "Message-ID"),
        f"{_subject(letter)}\n{_text(letter)}",
    )  # fmt: skip


def _named(letter: Message, name: str) -> str | None:
    value = letter[name]
    return str(value).strip() if value else None


def _subject(letter: Message) -> str:
    return str(make_header(decode_header(str(letter["Subject"] or ""))))


def _text(letter: Message) -> str:
    """Return the first text part as the fan reads it."""
    for part in letter.walk():
        if part.get_content_maintype() == "text":
            payload = part.get_payload(decode=True)
            return payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""
    return ""


def _answer(verdict: Verdict) -> str:
    if verdict.ref:
        return f"250 2.0.0 OK {verdict.ref}"
    after = verdict.retry_after_s or 0
    return _REPLIES[verdict.reason or verdict.kind].format(after=after)

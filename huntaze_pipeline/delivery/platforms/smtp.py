"""Letters over SMTP: a few connections kept open, and every reply told apart by what it means.

Blocking, and run in threads. Up to the first byte of the letter a failure means "try again"; from
then on it means "it may have been accepted".
"""

import contextlib
import re
import smtplib
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from huntaze_pipeline.delivery.platforms.base import Kind, Outcome
from huntaze_pipeline.delivery.platforms.letter import Letter
from huntaze_pipeline.delivery.platforms.wire import words
from huntaze_pipeline.errors import SettingsError

_IDLE_S = 20.0
_KEPT = 32
_DOT = re.compile(rb"^\.", re.MULTILINE)
_AFTER = re.compile(r"in (\d+(?:\.\d+)?) ?s")
_FAST = re.compile(r"\brate\b|too many|too fast|too much", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Server:
    """An SMTP server, as SMTP_URL names it: smtp[s]://user:password@host:port?domain=example.com."""

    host: str
    port: int
    tls: bool
    user: str | None
    password: str | None = field(repr=False)
    domain: str | None = None
    """Domain of senders whose account id is no address, if the URL names one."""


def server(url: str) -> Server:
    """Read SMTP_URL.

    Raises:
        SettingsError: it is no such URL; it is not shown, as it may hold a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise SettingsError("cannot use SMTP_URL: write smtp://user:password@host:port")
    tls = parts.scheme == "smtps"
    return Server(
        parts.hostname, port or (465 if tls else 587), tls,
        unquote(parts.username) if parts.username else None,
        unquote(parts.password) if parts.password else None,
        parse_qs(parts.query).get("domain", [None])[0],
    )  # fmt: skip


class _Reply(Exception):
    """The server said no, before or instead of taking the letter."""

    def __init__(self, code: int, text: bytes) -> None:
        super().__init__(code)
        self.code = code
        self.text = text.decode("utf-8", "replace")


class Pool:
    """Connections to one server; safe to use from several threads."""

    def __init__(self, where: Server) -> None:
        self._server = where
        self._idle: list[tuple[float, smtplib.SMTP]] = []
        self._lock = threading.Lock()

    def send(self, letter: Letter, deadline: float) -> Outcome:
        """Send one letter before a monotonic instant."""
        connection: smtplib.SMTP | None = None
        try:
            connection = self._begin(letter, deadline)
        except _Reply as reply:
            return outcome(reply.code, reply.text, self._server.password)
        except (smtplib.SMTPException, OSError) as error:
            return _failed(error, self._server.password)
        return self._finish(connection, letter, deadline)

    def close(self) -> None:
        """Close the idle connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()

    def _begin(self, letter: Letter, deadline: float) -> smtplib.SMTP:
        """Return a connection that waits for the letter's bytes."""
        kept = self._take()
        if kept is not None:
            # It may have gone while idle; nothing of this letter was taken then.
            with contextlib.suppress(smtplib.SMTPServerDisconnected, ConnectionError):
                return self._offer(kept, letter, deadline)
        return self._offer(self._connect(deadline), letter, deadline)

    def _offer(self, connection: smtplib.SMTP, letter: Letter, deadline: float) -> smtplib.SMTP:
        try:
            self._step(connection, deadline, lambda: connection.mail(letter.sender))
            self._step(connection, deadline, lambda: connection.rcpt(letter.recipient))
            self._step(connection, deadline, lambda: connection.docmd("DATA"), expected=354)
        except (smtplib.SMTPException, OSError):
            connection.close()
            raise
        return connection

    def _finish(self, connection: smtplib.SMTP, letter: Letter, deadline: float) -> Outcome:
        content = _DOT.sub(b"..", letter.content)
        end = b".\r\n" if content.endswith(b"\r\n") else b"\r\n.\r\n"
        try:
            _bound(connection, deadline)
        except OSError as error:
            connection.close()
            return _failed(error, self._server.password)
        try:
            connection.send(content + end)
            _bound(connection, deadline)
            code, text = connection.getreply()
        except (smtplib.SMTPException, OSError) as error:
            connection.close()
            return Outcome(Kind.UNKNOWN, detail=f"{_what(error)} after the letter was written")
        self._keep(connection)
        return outcome(code, text.decode("utf-8", "replace"), self._server.password)

    def _step(
        self, connection: smtplib.SMTP, deadline: float,
        command: Callable[[], tuple[int, bytes]], expected: int = 250,
    ) -> None:  # fmt: skip
        """Give one command; another reply than the expected one ends the attempt."""
        _bound(connection, deadline)
        code, text = command()
        if code == expected or (expected == 250 and code == 251):
            return
        if code == 421 or code < 0:
            connection.close()
        else:
            self._again(connection)
        raise _Reply(code, text)

    def _again(self, connection: smtplib.SMTP) -> None:
        """Make a connection ready for another letter, or let it go."""
        try:
            connection.rset()
        except (smtplib.SMTPException, OSError):
            connection.close()
        else:
            self._keep(connection)

    def _connect(self, deadline: float) -> smtplib.SMTP:
        where, left = self._server, _left(deadline)
        context = ssl.create_default_context()
        if where.tls:
            connection = smtplib.SMTP_SSL(where.host, where.port, timeout=left, context=context)
        else:
            connection = smtplib.SMTP(where.host, where.port, timeout=left)
        try:
            self._greet(connection, deadline, context)
        except BaseException:
            connection.close()
            raise
        return connection

    def _greet(self, connection: smtplib.SMTP, deadline: float, context: ssl.SSLContext) -> None:
        where = self._server
        _bound(connection, deadline)
        connection.ehlo_or_helo_if_needed()
        secure = where.tls
        if not secure and connection.has_extn("starttls"):
            connection.starttls(context=context)
            connection.ehlo()
            secure = True
        if where.user is None:
            return
        if not secure and where.host not in ("127.0.0.1", "::1", "localhost"):
            raise _Reply(530, b"the server offers no TLS: the password was not sent")
        connection.login(where.user, where.password or "")

    def _take(self) -> smtplib.SMTP | None:
        with self._lock:
            while self._idle:
                since, connection = self._idle.pop()
                if time.monotonic() - since < _IDLE_S:
                    return connection
                connection.close()
        return None

    def _keep(self, connection: smtplib.SMTP) -> None:
        with self._lock:
            if connection.sock is not None and len(self._idle) < _KEPT:
                self._idle.append((time.monotonic(), connection))
                return
        connection.close()


def outcome(code: int, text: str, *secrets: str | None) -> Outcome:
    """Say what an SMTP reply means."""
    detail = words(f"{code} {text}", *(secret for secret in secrets if secret))
    if code == 250:
        ref = text.split()[-1] if text.split() else None
        return Outcome(Kind.SENT, ref, code)
    if code == 452 or (400 <= code < 500 and _FAST.search(text)):
        after = _AFTER.search(text)
        return Outcome(Kind.LIMITED, None, code, float(after[1]) if after else None, detail)
    if 400 <= code < 500 or code < 0:
        return Outcome(Kind.RETRY, None, code, None, detail)
    return Outcome(Kind.REFUSED, None, code, None, detail)


def _failed(error: Exception, password: str | None) -> Outcome:
    if isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error
        said = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        return outcome(error.smtp_code, said, password)
    return Outcome(Kind.RETRY, detail=f"{_what(error)} before the letter was written")


def _what(error: Exception) -> str:
    """Name a failure without its text; smtplib reports a time-out as a lost connection."""
    late = isinstance(error, TimeoutError) or "timed out" in str(error)
    return "time-out" if late else type(error).__name__


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _bound(connection: smtplib.SMTP, deadline: float) -> None:
    if connection.sock is None:
        raise smtplib.SMTPServerDisconnected("connection lost")
    connection.sock.settimeout(_left(deadline))

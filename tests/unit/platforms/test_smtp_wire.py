"""SMTP against a server that says exactly what a test tells it, at every step of a letter."""

import asyncio
import contextlib
import smtplib
import time
from collections.abc import Sequence

import pytest

from huntaze_pipeline.delivery.platforms.base import Kind, Outcome, Outgoing
from huntaze_pipeline.delivery.platforms.email import Email
from huntaze_pipeline.delivery.platforms.letter import Letter, Letterhead
from huntaze_pipeline.delivery.platforms.smtp import Pool, server

WELL = {"EHLO": "250 x", "MAIL": "250 ok", "RCPT": "250 ok", "DATA": "354 go", ".": "250 ok ref"}


class Script:
    """An SMTP server by script: a verb's answer, or `None` to drop the connection there."""

    def __init__(self, *scripts: dict[str, str | None]) -> None:
        self.scripts = list(scripts)
        self.letters: list[bytes] = []
        self.connections = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await self.talk(reader, writer)
        writer.close()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = {**WELL, **self.scripts[min(self.connections, len(self.scripts) - 1)]}
        self.connections += 1
        writer.write(b"220 x\r\n")
        while line := await reader.readline():
            verb = line.split()[0].decode().upper()
            if not await self.say(writer, script.get(verb, "250 ok")):
                break
            if verb == "DATA" and script["DATA"] == "354 go":
                self.letters.append(await reader.readuntil(b"\r\n.\r\n"))
                if not await self.say(writer, script["."]):
                    break
            if verb == "RCPT" and script.get("hang up") == "after the letter":
                script["MAIL"] = None

    async def say(self, writer: asyncio.StreamWriter, answer: str | None) -> bool:
        if answer is None:
            return False
        if answer != "silence":
            writer.write(f"{answer}\r\n".encode())
        return True


def sent(script: Script, contents: Sequence[str] = ("hi",), timeout_s: float = 2) -> list[Outcome]:
    async def run() -> list[Outcome]:
        listening = await asyncio.start_server(script, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        email = Email(Pool(server(f"smtp://127.0.0.1:{port}")), Letterhead())
        try:
            return [
                await email.send(
                    Outgoing(f"m{number}", "maya", "fan@example.org", "s", content, "k"),
                    timeout_s=timeout_s,
                )
                for number, content in enumerate(contents)
            ]
        finally:
            await email.close()
            listening.close()
            await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))
            await asyncio.sleep(0.01)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ({"EHLO": None}, Kind.RETRY),
        ({"MAIL": None}, Kind.RETRY),
        ({"RCPT": None}, Kind.RETRY),
        ({"DATA": None}, Kind.RETRY),
        ({".": None}, Kind.UNKNOWN),
        ({"MAIL": "421 busy"}, Kind.RETRY),
        ({"MAIL": "550 suspended"}, Kind.REFUSED),
        ({"RCPT": "550 no such user"}, Kind.REFUSED),
        ({"RCPT": "550 no such user", "RSET": None}, Kind.REFUSED),
        ({"RCPT": "450 later"}, Kind.RETRY),
        ({"DATA": "452 too much"}, Kind.LIMITED),
        ({".": "554 spam"}, Kind.REFUSED),
        ({".": "451 later"}, Kind.RETRY),
    ],
)
def test_what_happens_at_each_step_decides(script: dict[str, str | None], kind: Kind) -> None:
    assert [outcome.kind for outcome in sent(Script(script))] == [kind]


@pytest.mark.parametrize(("step", "kind"), [("MAIL", Kind.RETRY), (".", Kind.UNKNOWN)])
def test_silence_ends_at_the_time_out(step: str, kind: Kind) -> None:
    (outcome,) = sent(Script({step: "silence"}), timeout_s=1)
    assert outcome.kind is kind
    assert "time-out" in (outcome.detail or "")


def test_a_letter_whose_time_is_over_before_its_first_byte_is_not_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when the process was stopped for long: its permit may have ended."""
    offer, script = Pool._offer, Script({})

    def stopped(pool: Pool, connection: smtplib.SMTP, letter: Letter, deadline: float):
        found = offer(pool, connection, letter, deadline)
        time.sleep(max(0.0, deadline - time.monotonic()) + 0.01)
        return found

    monkeypatch.setattr(Pool, "_offer", stopped)
    (outcome,) = sent(script, timeout_s=0.8)
    assert outcome.kind is Kind.RETRY
    assert script.letters == [], outcome


def test_letters_share_a_connection() -> None:
    script = Script({})
    assert {outcome.kind for outcome in sent(script, ["a", "b", "c"])} == {Kind.SENT}
    assert script.connections == 1


def test_a_refused_letter_leaves_the_connection_usable() -> None:
    script = Script({"RCPT": "550 no"})
    assert [o.kind for o in sent(script, ["a", "b"])] == [Kind.REFUSED, Kind.REFUSED]
    assert script.connections == 1


def test_a_connection_that_went_while_idle_is_replaced_and_nothing_is_sent_twice() -> None:
    script = Script({"hang up": "after the letter"}, {})
    assert [o.kind for o in sent(script, ["a", "b"])] == [Kind.SENT, Kind.SENT]
    assert (script.connections, len(script.letters)) == (2, 2)


def test_a_line_that_begins_with_a_dot_does_not_end_the_letter() -> None:
    script = Script({})
    (outcome,) = sent(script, [".\n..two\nthe end"])
    assert outcome.kind is Kind.SENT
    (letter,) = script.letters
    assert b"\r\n..\r\n...two\r\nthe end" in letter

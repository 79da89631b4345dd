"""What the HTTP adapters make of answers, from a server that says exactly what a test tells it."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr

from huntaze_pipeline.clock import FixedClock
from huntaze_pipeline.delivery.platforms.base import Kind, Outcome, Outgoing, Platform
from huntaze_pipeline.delivery.platforms.credentials import Credentials
from huntaze_pipeline.delivery.platforms.instagram import Instagram
from huntaze_pipeline.delivery.platforms.onlyfans import OnlyFans
from huntaze_pipeline.delivery.platforms.tiktok import TikTok
from huntaze_pipeline.delivery.platforms.wire import Wire

CLOCK = FixedClock(datetime(2026, 3, 2, 12, tzinfo=UTC))
TOKEN = "s3cret"
MESSAGE = Outgoing("m1", "maya", "fan-1", None, "Hello", "key")
Make = Callable[[Wire, Credentials], Platform]


def raw(status: int, body: Any, **headers: str) -> bytes:
    text = body if isinstance(body, str) else json.dumps(body)
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(text.encode())}\r\n{lines}\r\n"
    return head.encode() + text.encode()


def told(
    make: Make, answer: bytes, verb: str = "send", timeout_s: float = 2,
    message: Outgoing = MESSAGE,
) -> Outcome:  # fmt: skip
    """Return what an adapter makes of these bytes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async def run() -> Outcome:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        wire = Wire(f"http://127.0.0.1:{port}", clock=CLOCK)
        adapter = make(wire, Credentials("TOKEN", SecretStr(TOKEN)))
        try:
            return await getattr(adapter, verb)(message, timeout_s=timeout_s)
        finally:
            await adapter.close()
            server.close()

    return asyncio.run(run())


def graph(code: int, subcode: int | None = None, **more: Any) -> dict[str, Any]:
    return {"error": {"message": f"no, {TOKEN}", "code": code, "error_subcode": subcode, **more}}


def envelope(code: int) -> dict[str, Any]:
    return {"code": code, "message": f"no, {TOKEN}", "request_id": "1", "data": {}}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, {"message_id": "x"}, Kind.SENT),
        (200, "not json", Kind.UNKNOWN),
        (200, {}, Kind.UNKNOWN),
        (400, graph(10, 2534022), Kind.REFUSED),
        (400, graph(613), Kind.LIMITED),
        (400, graph(4), Kind.LIMITED),
        (403, graph(4), Kind.LIMITED),
        (400, graph(190), Kind.REFUSED),
        (403, graph(368), Kind.REFUSED),
        (500, graph(2, is_transient=True), Kind.RETRY),
        (400, graph(99, is_transient=True), Kind.RETRY),
        (429, "slow down", Kind.LIMITED),
        (500, "oops", Kind.RETRY),
        (503, "oops", Kind.RETRY),
        (502, "gateway", Kind.UNKNOWN),
        (504, "gateway", Kind.UNKNOWN),
        (302, "", Kind.RETRY),
        (408, "", Kind.RETRY),
        (404, "", Kind.REFUSED),
    ],
)
def test_instagram(status: int, body: Any, kind: Kind) -> None:
    outcome = told(Instagram, raw(status, body))
    assert outcome.kind is kind
    assert TOKEN not in repr(outcome)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, {"code": 0, "data": {"message": {"message_id": "x"}}}, Kind.SENT),
        (200, {"code": 0, "data": {}}, Kind.SENT),
        (200, envelope(40100), Kind.LIMITED),
        (200, envelope(40064), Kind.LIMITED),
        (200, envelope(40105), Kind.REFUSED),
        (200, envelope(40002), Kind.REFUSED),
        (200, envelope(50000), Kind.RETRY),
        (200, "<html>", Kind.UNKNOWN),
        (200, {"code": "0"}, Kind.UNKNOWN),
        (429, "", Kind.LIMITED),
        (500, "", Kind.RETRY),
        (504, "", Kind.UNKNOWN),
    ],
)
def test_tiktok(status: int, body: Any, kind: Kind) -> None:
    outcome = told(TikTok, raw(status, body))
    assert outcome.kind is kind
    assert TOKEN not in repr(outcome)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (201, {"id": 7}, Kind.SENT),
        (200, {}, Kind.UNKNOWN),
        (400, {"error": f"bad {TOKEN}"}, Kind.REFUSED),
        (401, {}, Kind.REFUSED),
        (409, {}, Kind.UNKNOWN),
        (429, {}, Kind.LIMITED),
        (504, "", Kind.RETRY),
    ],
)
def test_onlyfans(status: int, body: Any, kind: Kind) -> None:
    outcome = told(OnlyFans, raw(status, body))
    assert outcome.kind is kind
    assert TOKEN not in repr(outcome)


@pytest.mark.parametrize("make", [OnlyFans, Instagram, TikTok])
@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200 OK\r\ncontent-le", raw(200, {"id": 1})[:-4], b"not http at all\r\n\r\n"],
)
def test_an_answer_cut_short_leaves_the_message_unknown(make: Make, answer: bytes) -> None:
    assert told(make, answer).kind is Kind.UNKNOWN


@pytest.mark.parametrize("make", [OnlyFans, Instagram, TikTok])
@pytest.mark.parametrize("answer", [raw(500, ""), raw(404, ""), raw(200, "x"), raw(200, []), b""])
def test_a_look_up_that_failed_proves_nothing(make: Make, answer: bytes) -> None:
    assert told(make, answer, "look_up").kind is Kind.UNKNOWN


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("12", 12),
        ("0.5", 0.5),
        ("-3", 0),
        ("nan", None),
        ("inf", None),
        ("Mon, 02 Mar 2026 12:01:30 GMT", 90),
        ("soon", None),
    ],
)
def test_the_wait_is_read_as_seconds_or_as_a_date(header: str, seconds: float | None) -> None:
    assert told(OnlyFans, raw(429, {}, retry_after=header)).retry_after_s == seconds


def test_instagram_tells_in_minutes_when_access_comes_back() -> None:
    usage = json.dumps({"1784": [{"type": "messages", "estimated_time_to_regain_access": 2}]})
    answer = raw(400, graph(80002), x_business_use_case_usage=usage)
    assert told(Instagram, answer).retry_after_s == 120


def test_an_old_message_with_the_same_words_is_no_proof() -> None:
    one = {"id": "x", "message": "Hello", "from": {"id": "maya"}}
    for hour, kind in (("11:30", Kind.SENT), ("10:30", Kind.UNKNOWN)):
        kept = [{**one, "created_time": f"2026-03-02T{hour}:00+0000"}]
        answer = raw(200, {"data": [{"messages": {"data": kept}}]})
        make = lambda wire, tokens: Instagram(wire, tokens, clock=CLOCK)  # noqa: E731
        assert told(make, answer, "look_up").kind is kind


@pytest.mark.parametrize("make", [OnlyFans, Instagram, TikTok])
@pytest.mark.parametrize(
    "body",
    [
        {"messages": [1], "data": [1], "code": 0},
        {"messages": "x", "data": "x", "code": 0},
        {"code": 0, "data": {"messages": ["x"]}},
        {
            "code": 0,
            "data": {"messages": [{"sender": "maya", "text": {"body": "Hello"}, "timestamp": "x"}]},
        },
        {"data": [{"messages": {"data": [{"message": "Hello", "from": {"id": "maya"}}]}}]},
        {"code": 0, "data": {"message": "x"}, "message_id": []},
        {"error": "x", "code": [], "data": None},
        {"error": {"code": {}, "message": None}},
    ],
)
@pytest.mark.parametrize("verb", ["send", "look_up"])
@pytest.mark.parametrize("status", [200, 400])
def test_no_answer_makes_an_adapter_raise(make: Make, body: Any, verb: str, status: int) -> None:
    assert isinstance(told(make, raw(status, body), verb), Outcome)


def test_a_key_of_any_characters_fits_into_a_header() -> None:
    message = Outgoing("é\r\nX: y", "maya/../x", "fan", None, "Hello", "clé\r\nX-Evil: 1")
    for make in (OnlyFans, Instagram, TikTok):
        assert told(make, raw(503, ""), message=message).kind is Kind.RETRY


def test_characters_that_cannot_be_sent_are_refused() -> None:
    message = Outgoing("m", "maya", "fan", None, "broken \ud800", "k")
    for make in (OnlyFans, Instagram, TikTok):
        assert told(make, raw(503, ""), message=message).kind is Kind.REFUSED


def test_a_server_that_drips_does_not_outlast_the_time_out() -> None:
    began = asyncio.new_event_loop()
    start = began.time()
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"
    assert told(OnlyFans, answer, timeout_s=0.2).kind is Kind.UNKNOWN
    assert began.time() - start < 2
    began.close()


def test_a_text_over_instagrams_bytes_is_refused_before_the_wire() -> None:
    long = Outgoing("m1", "maya", "fan-1", None, "é" * 501, "key")
    adapter = Instagram(Wire("http://127.0.0.1:1"), Credentials("T", SecretStr(TOKEN)))
    assert asyncio.run(adapter.send(long, timeout_s=1)).kind is Kind.REFUSED


def test_an_account_without_a_token_is_refused_by_name() -> None:
    tokens = Credentials("T", SecretStr('{"noor": "x"}'))
    for make in (OnlyFans, Instagram, TikTok):
        outcome = asyncio.run(make(Wire("http://127.0.0.1:1"), tokens).send(MESSAGE, timeout_s=1))
        assert outcome.kind is Kind.REFUSED
        assert "maya" in (outcome.detail or "")


class Standstill(Mapping[str, str]):
    """Headers that take a while to read: the process was stopped on the way to the socket."""

    def __getitem__(self, name: str) -> str:
        raise KeyError(name)

    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Iterator[str]:
        time.sleep(0.2)
        return iter(())


def test_a_call_whose_time_is_over_before_its_first_byte_is_not_made() -> None:
    """Its permit may have ended, and another call may have taken its place."""
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                requests.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(raw(200, {}))
        writer.close()

    async def run() -> object:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        wire = Wire(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", clock=CLOCK)
        await wire.call("POST", "/", timeout_s=2, headers={})  # the connection is kept
        outcome = await wire.call("POST", "/", timeout_s=0.1, headers=Standstill())
        await wire.close()
        server.close()
        await asyncio.sleep(0.05)
        return outcome

    outcome = asyncio.run(run())
    assert isinstance(outcome, Outcome)
    assert (outcome.kind, len(requests)) == (Kind.RETRY, 1)

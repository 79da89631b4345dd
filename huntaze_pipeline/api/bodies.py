"""Reading requests safely: how large, how deep, and only text that can be stored. No route here."""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import unquote_to_bytes

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from huntaze_pipeline.api import problems

MAX_BYTES = 1_000_000
MAX_DEPTH = 32


class Guard:
    """Outermost layer: bounds the body, refuses NUL in addresses, answers every error."""

    def __init__(self, app: ASGIApp, max_bytes: int = MAX_BYTES) -> None:
        self.app, self.max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            _readable(scope)
            await self.app(scope, self._counted(scope, receive), sending)
        except Exception as error:  # whatever it is, the caller gets a document and not a traceback
            response = problems.answer(error, scope["path"])
            if started:
                raise
            await response(scope, receive, send)

    def _counted(self, scope: Scope, receive: Receive) -> Receive:
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self.max_bytes:
            raise self._large()
        seen = 0

        async def counting() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.max_bytes:
                raise self._large()
            return message

        return counting

    def _large(self) -> problems.Refusal:
        return problems.Refusal(
            413, f"the body is larger than {self.max_bytes:,} bytes", {"Connection": "close"}
        )


class StrictRequest(Request):
    """A request whose JSON can be stored: no NaN, NUL, half surrogate, key twice; not too deep."""

    async def json(self) -> Any:
        """Return the parsed body.

        Raises:
            Refusal: it is too deep or holds text or numbers that cannot be stored.
            json.JSONDecodeError: it is no JSON.
        """
        if not hasattr(self, "_json"):
            self._json = parse(await self.body(), pairs=_once)
        return self._json

    async def expect_json(self) -> None:
        """Make sure that the body, if there is one, is said to be JSON.

        Raises:
            Refusal: it is not, as by `curl -d` without a header.
        """
        media = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media == "application/json" or re.fullmatch(r"application/.+\+json", media):
            return
        if await self.body():
            said = f"the body is {media[:100] or 'of no kind'}: send it with Content-Type:"
            raise problems.Refusal(415, f"{said} application/json")


class StrictRoute(APIRoute):
    """A route that reads its body as a `StrictRequest`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, with the request exchanged."""
        handler = super().get_route_handler()

        async def strict(request: Request) -> Response:
            asked = StrictRequest(request.scope, request.receive)
            if self.body_field is not None:
                await asked.expect_json()
            return await handler(asked)

        return strict


def parse(body: bytes, *, pairs: Callable[[list[tuple[str, Any]]], dict[str, Any]] = dict) -> Any:
    """Read JSON and check that every part of it can be stored.

    Args:
        body: the bytes.
        pairs: makes an object of its keys and values; as it stands the last of a key wins.

    Raises:
        Refusal: it cannot.
        json.JSONDecodeError: it is no JSON.
    """
    try:
        value = json.loads(body, parse_constant=_no_constant, object_pairs_hook=pairs)
    except RecursionError:
        raise _deep() from None
    except UnicodeDecodeError:
        raise problems.Refusal(400, "the body is not UTF-8") from None
    except json.JSONDecodeError:
        raise
    except ValueError:
        raise _large_number() from None
    _walk(value, 1)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object: which of two values of a key was meant, nobody can say."""
    members = dict(pairs)
    if len(members) < len(pairs):
        twice = next(key for key, n in Counter(key for key, _ in pairs).items() if n > 1)
        raise problems.Refusal(400, f"the body has the key {twice[:100]!a} twice")
    return members


def _walk(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise _deep()
    if isinstance(value, str):
        _storable(value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise _large_number()
    elif isinstance(value, dict):
        for key, item in value.items():
            _storable(key)
            _walk(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _walk(item, depth + 1)


def _storable(text: str) -> None:
    if "\x00" in text:
        raise problems.Refusal(400, "the body holds a NUL character, which cannot be stored")
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise problems.Refusal(400, "the body holds half a surrogate pair: it is not valid Unicode")


def _readable(scope: Scope) -> None:
    query = unquote_to_bytes(scope.get("query_string", b""))
    if "\x00" in scope["path"] or b"\x00" in query:
        raise problems.Refusal(400, "the address holds a NUL character")


def _no_constant(name: str) -> Any:
    raise problems.Refusal(400, f"the body holds {name}, which is no JSON number")


def _large_number() -> problems.Refusal:
    return problems.Refusal(400, "the body holds a number that is too large")


def _deep() -> problems.Refusal:
    return problems.Refusal(400, f"the body is nested deeper than {MAX_DEPTH} levels")

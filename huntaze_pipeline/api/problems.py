"""Errors as problem documents (RFC 9457). The only place that decides a status code for an error.

A document says what was wrong, where, and what would be right; it never holds a traceback, an
address of a server, or a secret. Routes raise; they do not build answers for errors.
"""

import logging
import secrets
import traceback
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from huntaze_pipeline.errors import (
    ConflictError,
    HuntazeError,
    NotFoundError,
    Problem,
    Problems,
    ServiceError,
    SettingsError,
    StoreError,
    WarehouseError,
)

MEDIA = "application/problem+json"
_AWAY = (StoreError, ServiceError, WarehouseError, SettingsError)
_log = logging.getLogger("huntaze.api")


class Refusal(HTTPException):
    """A request that the API itself refuses: no key, a body too large, a header that is wrong.

    An HTTP answer and not a domain error; the framework lets only these through while it reads a
    body.
    """


def document(
    status: int,
    detail: str,
    *,
    path: str,
    problems: Sequence[Problem] = (),
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """Return the response for one error."""
    phrase = HTTPStatus(status).phrase
    body: dict[str, Any] = {
        "type": f"urn:huntaze:problem:{phrase.lower().replace(' ', '-')}",
        "title": phrase,
        "status": status,
        "detail": detail,
        "instance": path,
    }
    if problems:
        body["errors"] = [{"field": p.where, "detail": p.what} for p in problems]
    return JSONResponse(body, status, headers=headers, media_type=MEDIA)


def answer(error: Exception, path: str) -> JSONResponse:
    """Return the response for any error that may come out of a handler."""
    match error:
        case RequestValidationError():
            return _faults([fault(e) for e in error.errors()], path)
        case Problems():
            return _faults(error.problems, path)
        case NotFoundError():
            return document(404, str(error), path=path)
        case ConflictError():
            return document(409, str(error), path=path)
        case HTTPException():
            headers = dict(error.headers or {})
            return document(error.status_code, str(error.detail), path=path, headers=headers)
        case _:
            return _ours(error, path)


def install(app: FastAPI) -> None:
    """Make every error of the app a problem document."""

    async def handle(request: Request, error: Exception) -> JSONResponse:
        return answer(error, request.url.path)

    for kind in (HuntazeError, RequestValidationError, HTTPException, SQLAlchemyError):
        app.add_exception_handler(kind, handle)


def _faults(problems: Sequence[Problem], path: str) -> JSONResponse:
    count = "one thing is" if len(problems) == 1 else f"{len(problems)} things are"
    return document(422, f"{count} wrong with this request", path=path, problems=problems)


def fault(error: Any) -> Problem:
    """Turn pydantic's account of a fault into ours; the input itself is not echoed."""
    place = [str(part) for part in error["loc"]]
    where = ".".join(place[1:] if len(place) > 1 and place[0] == "body" else place)
    if error["type"] == "json_invalid":
        return Problem("body", f"is no JSON: {error.get('ctx', {}).get('error', 'cannot be read')}")
    if error["type"] == "extra_forbidden":
        return Problem(where, "is not a field of this request")
    return Problem(where, str(error["msg"]).removeprefix("Value error, "))


def _ours(error: Exception, path: str) -> JSONResponse:
    """Answer for a fault on our side: the log has the details, the document has a reference."""
    away = isinstance(error, (*_AWAY, PoolTimeout, OperationalError))
    if isinstance(error, DBAPIError) and not away and _unstorable(error):
        return document(422, "a value in this request cannot be stored", path=path)
    reference = secrets.token_hex(6)
    # A database error's text repeats the statement's values: content and addresses stay out of
    # logs.
    fault = type(error).__name__ if isinstance(error, SQLAlchemyError) else repr(error)
    frames = "".join(traceback.format_tb(error.__traceback__))
    _log.error("%s failed (reference %s): %s\n%s", path, reference, fault, frames)
    if away:
        detail = f"a server that this needs does not answer; try again (reference {reference})"
        return document(503, detail, path=path, headers={"Retry-After": "5"})
    return document(500, f"this is our fault, not yours (reference {reference})", path=path)


def _unstorable(error: DBAPIError) -> bool:
    """Say whether PostgreSQL refused a value itself (class 22, data exception)."""
    return str(getattr(error.orig, "sqlstate", "") or "").startswith("22")

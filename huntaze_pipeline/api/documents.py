"""How the API describes itself in OpenAPI: the error documents that any route may answer with."""

from typing import Any

from pydantic import BaseModel


class Fault(BaseModel):
    """One thing that is wrong with a request."""

    field: str
    detail: str


class ProblemDocument(BaseModel):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[Fault] = []


def _answer(description: str) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": ProblemDocument.model_json_schema()}}
    return {"description": description, "content": content}


ERRORS: dict[int | str, dict[str, Any]] = {
    401: _answer("No key, or one that is not known."),
    404: _answer("No such thing, or it belongs to another creator."),
    409: _answer("The thing is in a state that does not allow this."),
    413: _answer("The body is too large."),
    415: _answer("The body is not said to be JSON."),
    422: _answer("The request has faults; `errors` names every one with its field."),
    503: _answer("A server that this needs does not answer; try again."),
}

DESCRIPTION = """
Campaigns, messages and events of one creator. Send the creator's key as `Authorization: Bearer …`
or `X-API-Key`; a key sees its own creator's things only. Instants are ISO-8601 with a zone. Errors
are problem documents (`application/problem+json`, RFC 9457). Every `POST` may carry an
`Idempotency-Key`: the same key again changes nothing and gives the same answer.
"""

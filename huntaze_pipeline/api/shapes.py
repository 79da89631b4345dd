"""What every request and response shape shares: field names, instants and the words of refusal.

JSON names are camelCase, Python names are snake_case. Instants come in as ISO-8601 with a zone and
go out as ISO-8601 in UTC. Shapes of one route live beside that route.
"""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Header
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)


class Request(BaseModel):
    """A body that comes in: fields that we do not know are refused, so that typos are noticed."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=False, extra="forbid")


class Response(BaseModel):
    """A body that goes out."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


def instant(value: Any) -> datetime:
    """Read an instant; a text without a zone could mean any of 24 hours and is refused.

    Raises:
        ValueError: it is no instant, has no zone, or lies outside the years 2000 to 2099.
    """
    wanted = "write an instant with its zone, such as 2026-03-02T12:00:00Z"
    if not isinstance(value, str):
        raise ValueError(wanted)
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(f"is no ISO-8601 instant: {wanted}") from None
    if at.tzinfo is None:
        raise ValueError(f"has no zone: {wanted}")
    if not _EARLIEST <= at < _LATEST:
        raise ValueError("must lie between the years 2000 and 2100")
    return at.astimezone(UTC)


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


Instant = Annotated[datetime, BeforeValidator(instant, json_schema_input_type=str)]
"""An instant that comes in."""

Moment = Annotated[datetime, PlainSerializer(_iso, return_type=str)]
"""An instant that goes out."""

Name = Annotated[str, Field(min_length=1, max_length=200)]
Id = Annotated[str, Field(min_length=1, max_length=200)]

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="The same key on a repeated request changes nothing and gives the same answer.",
    ),
]

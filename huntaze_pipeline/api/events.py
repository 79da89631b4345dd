"""Routes of events: facts about fans come in here, one or many, each once."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Body, Request
from pydantic import BeforeValidator, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

from huntaze_pipeline import hashing
from huntaze_pipeline.api import shapes
from huntaze_pipeline.api.bodies import StrictRoute
from huntaze_pipeline.api.documents import ERRORS
from huntaze_pipeline.api.keys import CreatorId
from huntaze_pipeline.api.mending import Mended
from huntaze_pipeline.api.shapes import Id, IdempotencyKey
from huntaze_pipeline.errors import Problem, Problems
from huntaze_pipeline.events import inbox
from huntaze_pipeline.events.envelope import Event, faults, micros

router = APIRouter(prefix="/api/events", tags=["events"], route_class=StrictRoute, responses=ERRORS)
MANY = 1000


class EventRequest(Mended):
    """A fact about a fan."""

    stand_ins: ClassVar[Mapping[str, Any]] = {"name": "viewed", "fanId": "-"}

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "order-1871",
                    "name": "purchase",
                    "fanId": "fan-1",
                    "platform": "onlyfans",
                    "value": 24.99,
                    "currency": "USD",
                    "occurredAt": "2026-03-02T12:00:00Z",
                }
            ]
        }
    )

    id: Id | None = Field(default=None, description="Yours; the same id again is the same fact")
    name: str = Field(max_length=70, description="purchase, tip, subscribed, … or custom:word")
    fan_id: Id
    occurred_at: shapes.Instant | None = Field(default=None, description="Absent: now")
    platform: Id | None = None
    account_id: Id | None = None
    campaign_id: Id | None = None
    message_id: Id | None = None
    value: float | str | None = Field(default=None, description="Money, in units: 24.99")
    currency: str | None = Field(default=None, description="ISO 4217: USD")
    properties: dict[str, JsonValue] = {}


class Taken(shapes.Response):
    """What became of the events."""

    accepted: int
    """Facts that are new."""
    known: int
    """Facts whose id was there already; nothing was changed."""
    ids: list[str]


def _many(body: Any) -> Any:
    """Read one event as a list of one."""
    return [body] if isinstance(body, dict) else body


Events = Annotated[
    list[EventRequest],
    Field(min_length=1, max_length=MANY),
    BeforeValidator(_many, json_schema_input_type=EventRequest | list[EventRequest]),
]


@router.post("", status_code=202, summary="Report events")
def report(
    request: Request,
    creator: CreatorId,
    body: Annotated[Events, Body()],
    key: IdempotencyKey = None,
) -> Taken:
    """Take one event or a list of up to 1,000; all of them or, if any has a fault, none.

    An event needs an `id` (or the request an `Idempotency-Key`), so that a repeated request does
    not count a purchase twice.
    """
    now = request.app.state.clock()
    problems: list[Problem] = []
    events: list[Event] = []
    for index, asked in enumerate(body):
        wrong: list[Problem] = []
        event = _event(asked, creator, key, index, now, wrong)
        wrong += [Problem(_camel(p.where), p.what) for p in faults(event, now, str(index))]
        problems += asked.faults(wrong, f"{index}.")
        events.append(event)
    if problems:
        raise Problems(_unique(problems))
    with request.app.state.store.tenant(creator) as connection:
        done = inbox.append(connection, events)
    return Taken(accepted=done.new, known=done.known, ids=[e.event_id for e in events])


def _event(
    asked: EventRequest, creator: str, key: str | None, index: int, now: Any, wrong: list[Problem]
) -> Event:
    identity = asked.id or (
        str(hashing.identifier(creator, "event", key, str(index))) if key else None
    )
    if identity is None:
        said = "is missing: give an id, or send an Idempotency-Key, so that a retry counts once"
        wrong.append(Problem(f"{index}.id", said))
    return Event(
        creator_id=creator,
        event_id=identity or "missing",
        name=asked.name,
        fan_id=asked.fan_id,
        occurred_at=asked.occurred_at or now,
        source="api",
        platform=asked.platform,
        account_id=asked.account_id,
        campaign_id=asked.campaign_id,
        message_id=asked.message_id,
        value_micros=_money(asked.value, f"{index}.value", wrong),
        currency=asked.currency,
        properties=asked.properties,
    )


def _money(value: float | str | None, where: str, problems: list[Problem]) -> int | None:
    if value is None:
        return None
    try:
        return micros(value)
    except ValueError as error:
        problems.append(Problem(where, str(error)))
        return None


def _camel(where: str) -> str:
    index, _, name = where.partition(".")
    return f"{index}.{to_camel(name)}" if name != "event_id" else f"{index}.id"


def _unique(problems: Sequence[Problem]) -> list[Problem]:
    """Keep the first fault of each field: a second one follows from the first."""
    return list({p.where: p for p in reversed(problems)}.values())[::-1]

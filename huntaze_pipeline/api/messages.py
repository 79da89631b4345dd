"""Routes of single messages: send one, ask for its status. The work is done in delivery."""

from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Query, Request
from pydantic import ConfigDict, Field

from huntaze_pipeline.api import shapes
from huntaze_pipeline.api.bodies import StrictRoute
from huntaze_pipeline.api.documents import ERRORS
from huntaze_pipeline.api.keys import CreatorId
from huntaze_pipeline.api.shapes import Id, IdempotencyKey, Instant, Moment
from huntaze_pipeline.delivery import messages
from huntaze_pipeline.delivery.validation import Request as Message

router = APIRouter(prefix="/api", tags=["messages"], route_class=StrictRoute, responses=ERRORS)
Platform = Literal["onlyfans", "instagram", "tiktok", "email"]


class MessageRequest(shapes.Request):
    """One message to one fan."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"recipientId": "fan-1", "content": "Thank you!", "priority": "high"}]
        }
    )

    recipient_id: Id = Field(description="The fan's id")
    content: Annotated[str, Field(max_length=20_000)]
    subject: Annotated[str, Field(max_length=300)] | None = Field(
        default=None, description="For e-mail"
    )
    topic: Annotated[str, Field(min_length=1, max_length=100)] | None = Field(
        default=None,
        description="What it is about, to pass that topic's gates: `marketing` needs the fan's"
        " consent and waits for the end of the fan's quiet hours. Absent: it goes at once",
    )
    send_at: Instant | None = Field(default=None, description="Not before; absent: now")
    expires_at: Instant | None = Field(default=None, description="Not after")
    priority: str = Field(default="medium", max_length=20, description="high, medium or low")


class Queued(shapes.Response):
    """A message that was taken on."""

    success: Literal[True] = True
    message_id: str
    status: Literal["queued"] = "queued"
    estimated_delivery: Moment | None
    """When the account's limit and the fan's quiet hours let it go, as it looks now."""


class StatusView(shapes.Response):
    """Where a message is."""

    message_id: str
    status: Literal["queued", "processing", "sent", "failed"]
    sent_at: Moment | None
    attempts: int
    """Calls of the platform that were made for it."""
    reason: str | None
    """Why it failed or is held."""


@router.post("/{platform}/messages/send", status_code=202, summary="Send a message")
def send(
    request: Request,
    creator: CreatorId,
    platform: Platform,
    body: MessageRequest,
    key: IdempotencyKey = None,
) -> Queued:
    """Check a message and queue it; it goes when its account's limit allows.

    With an `Idempotency-Key` the same request may be repeated safely: there is one message.
    """
    asked = body.model_dump(exclude={"recipient_id"})
    state = request.app.state
    done = messages.submit(
        state.store,
        creator,
        Message(recipient=body.recipient_id, platform=platform, key=key, **asked),
        now=state.clock(),
        quotas=state.quotas,
        policies=state.policies,
    )
    return Queued(message_id=done.message_id, estimated_delivery=done.estimated_delivery)


@router.get("/{platform}/messages/status", summary="Status of a message")
def status(
    request: Request,
    creator: CreatorId,
    platform: Platform,
    message_id: Annotated[str, Query(alias="messageId", min_length=1, max_length=200)],
) -> StatusView:
    """Return where a message is: queued, processing, sent or failed."""
    found = messages.status(request.app.state.store, creator, message_id)
    return StatusView(
        message_id=message_id,
        status=cast(Any, found.status),
        sent_at=found.sent_at,
        attempts=len(found.attempts),
        reason=found.reason,
    )

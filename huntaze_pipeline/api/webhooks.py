"""What platforms tell us: receipts, signed with the secret that we share with them."""

import hashlib
import hmac
import json
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from starlette.concurrency import run_in_threadpool

from huntaze_pipeline.api import shapes
from huntaze_pipeline.api.bodies import StrictRoute, parse
from huntaze_pipeline.api.documents import ERRORS, Fault
from huntaze_pipeline.api.problems import Refusal
from huntaze_pipeline.delivery import receipts

router = APIRouter(prefix="/webhooks", tags=["webhooks"], route_class=StrictRoute, responses=ERRORS)
MANY = 10_000
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "example": {
                    "receipts": [
                        {
                            "id": "r-1",
                            "kind": "opened",
                            "message_id": "6d0c…",
                            "platform": "onlyfans",
                            "account_id": "maya-onlyfans",
                            "occurred_at": "2026-03-02T12:00:00Z",
                        }
                    ]
                }
            }
        },
    }
}


class Received(shapes.Response):
    """What became of the receipts. A repeated one is known; a rejected one is never taken."""

    new: int
    known: int
    quarantined: int
    """Kept whole, because their message is not known (yet)."""
    rejected: list[Fault]


@router.post("/receipts", summary="Receive receipts", openapi_extra=_BODY)
async def receive(
    request: Request,
    signature: Annotated[
        str | None,
        Header(alias="X-Huntaze-Signature", description="sha256=<hex HMAC of the raw body>"),
    ] = None,
) -> Received:
    """Take delivered, opened, clicked, bought, bounced, replied and unsubscribed receipts.

    Any 2xx means taken. A receipt with a fault is listed and does not hold up the others; the same
    receipt again changes nothing.
    """
    body = await request.body()
    _verify(request.app.state.settings.webhook_secret, body, signature)
    items = _read(body)
    done = await run_in_threadpool(_accept, request, items)
    return Received(
        new=done.new,
        known=done.known,
        quarantined=done.quarantined,
        rejected=[Fault(field=p.where, detail=p.what) for p in done.rejected],
    )


def sign(secret: str, body: bytes) -> str:
    """Return the signature of a body, as the header carries it."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def _verify(secret: Any, body: bytes, signature: str | None) -> None:
    """Refuse a body that was not signed with our secret; takes the same time whatever differs."""
    if not secret:
        raise Refusal(503, "receipts are not set up here: HUNTAZE_WEBHOOK_SECRET is not set")
    expected = sign(secret.get_secret_value(), body)
    if not hmac.compare_digest(expected.encode(), (signature or "").encode()):
        raise Refusal(401, "X-Huntaze-Signature is missing or does not fit the body")


def _read(body: bytes) -> list[dict[str, Any]]:
    try:
        document = parse(body)
    except json.JSONDecodeError as error:
        raise Refusal(400, f"the body is no JSON: {error.msg}") from None
    items = document.get("receipts") if isinstance(document, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise Refusal(422, 'write {"receipts": [{…}, …]}')
    if len(items) > MANY:
        raise Refusal(413, f"{len(items)} receipts: send at most {MANY:,} at a time")
    return items


def _accept(request: Request, items: list[dict[str, Any]]) -> receipts.Accepted:
    with request.app.state.store.worker() as connection:
        return receipts.accept(connection, items, request.app.state.clock())

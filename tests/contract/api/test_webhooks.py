"""Receipts over HTTP: only signed ones, each once."""

import json

import httpx
import pytest
from caller import SECRET, Client, message
from pydantic import SecretStr
from sqlalchemy import insert, text

from huntaze_pipeline.api import app
from huntaze_pipeline.api.webhooks import sign
from huntaze_pipeline.clock import FixedClock
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.outflow import Message
from huntaze_pipeline.store.session import Store


def deliver(client: Client, body: bytes, signature: str | None = None) -> httpx.Response:
    headers = {} if signature is None else {"X-Huntaze-Signature": signature}
    return client("POST", "/webhooks/receipts", content=body, headers=headers)


def receipts(*ids: str) -> bytes:
    told = {"kind": "delivered", "message_id": "m-0", "account_id": "maya-onlyfans"}
    at = {"occurred_at": "2026-03-02T11:59:00Z", "platform": "onlyfans"}
    return json.dumps({"receipts": [{"id": one} | told | at for one in ids]}).encode()


def test_signed_receipts_are_taken_once(maya: Client, store: Store) -> None:
    with store.worker() as c:
        c.execute(insert(Message).values(message("x", 0, "sent")))
    nobody = Client(maya.service, None)
    body = receipts("r-1", "r-2")

    first = deliver(nobody, body, sign(SECRET, body))
    again = deliver(nobody, body, sign(SECRET, body))

    assert (first.status_code, first.json()["new"]) == (200, 2)
    assert (again.status_code, again.json()["known"]) == (200, 2)


def test_a_wrong_signature_is_refused(maya: Client, store: Store) -> None:
    for signature in (None, b"", b"sha256=", b"sha256=" + b"0" * 64, b"\xe9"):
        headers = {} if signature is None else {"X-Huntaze-Signature": signature}
        response = maya("POST", "/webhooks/receipts", content=receipts("r"), headers=headers)
        assert response.status_code == 401

    with store.worker() as c:
        assert c.scalar(text("select count(*) from inbox")) == 0


def test_a_body_that_was_changed_after_signing_is_refused(maya: Client) -> None:
    body = receipts("r-1")

    assert deliver(maya, body.replace(b"m-0", b"m-1"), sign(SECRET, body)).status_code == 401
    assert deliver(maya, body + b" ", sign(SECRET, body)).status_code == 401
    assert deliver(maya, body, sign("other", body)).status_code == 401


def test_signed_nonsense_is_refused_without_harm(maya: Client) -> None:
    for body in (b"", b"{", b"[]", b'{"receipts": [1]}', b'{"receipts": {}}', b"[" * 90_000):
        assert deliver(maya, body, sign(SECRET, body)).status_code in (400, 422)


def test_a_faulty_receipt_does_not_hold_up_the_others(maya: Client, store: Store) -> None:
    with store.worker() as c:
        c.execute(insert(Message).values(message("x", 0, "sent")))
    told = json.loads(receipts("r-1"))
    told["receipts"] += [{"id": 7}, {"id": "r-2", "kind": "eaten", "occurred_at": "noon"}]
    body = json.dumps(told).encode()

    answer = deliver(maya, body, sign(SECRET, body)).json()

    assert answer["new"] == 1
    assert answer["rejected"]


@pytest.mark.parametrize("secret", [None, SecretStr("")])
def test_without_a_secret_receipts_are_turned_away_to_be_tried_again(
    settings: Settings, clock: FixedClock, secret: SecretStr | None
) -> None:
    bare = Client(app.create(settings.model_copy(update={"webhook_secret": secret}), clock), None)

    assert deliver(bare, b"{}", sign("", b"{}")).status_code == 503

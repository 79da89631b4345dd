"""Single messages over HTTP: queued once, however often they are asked for."""

import asyncio

import httpx
from caller import Client, fields
from sqlalchemy import text

from huntaze_pipeline.store.session import Store


def test_a_message_is_queued_and_can_be_asked_for(maya: Client) -> None:
    told = {"recipientId": "fan-1", "content": "Thank you!", "priority": "high"}

    response = maya.post("/api/onlyfans/messages/send", told)
    body = response.json()
    status = maya.get(f"/api/onlyfans/messages/status?messageId={body['messageId']}").json()

    assert response.status_code == 202
    assert (body["success"], body["status"]) == (True, "queued")
    assert body["estimatedDelivery"] >= "2026-03-02T12:00:00"
    assert status["messageId"] == body["messageId"]
    assert (status["status"], status["sentAt"], status["attempts"]) == ("queued", None, 0)


def test_every_fault_of_a_message_is_told_at_once(maya: Client) -> None:
    told = {"recipientId": "nobody", "content": " ", "priority": "urgent"}

    response = maya.post("/api/onlyfans/messages/send", told)

    assert fields(response) == {"recipientId", "content", "priority"}


def test_ten_identical_posts_at_once_are_one_message(maya: Client, store: Store) -> None:
    async def burst() -> list[httpx.Response]:
        told = {"recipientId": "fan-1", "content": "hello", "priority": "low"}
        headers = {"Idempotency-Key": "once"}
        path = "/api/onlyfans/messages/send"
        calls = (maya.answer("POST", path, json=told, headers=headers) for _ in range(10))
        return await asyncio.gather(*calls)

    answers = asyncio.run(burst())

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["messageId"] for answer in answers}) == 1
    with store.worker() as c:
        assert c.scalar(text("select count(*) from messages")) == 1


def test_the_key_of_another_message_is_a_conflict(maya: Client) -> None:
    headers = {"Idempotency-Key": "once"}
    told = {"recipientId": "fan-1", "content": "hello"}
    maya.post("/api/onlyfans/messages/send", told, headers=headers)

    for other in ({"content": "bye"}, {"recipientId": "fan-2"}, {"recipientId": "nobody"}):
        answer = maya.post("/api/onlyfans/messages/send", told | other, headers=headers)
        assert answer.status_code == 409
    assert maya.post("/api/tiktok/messages/send", told, headers=headers).status_code == 409


def test_a_repeated_message_gets_its_first_answer_after_the_fan_has_left(
    maya: Client, store: Store
) -> None:
    headers, path = {"Idempotency-Key": "once"}, "/api/onlyfans/messages/send"
    told = {"recipientId": "fan-1", "content": "hello"}
    first = maya.post(path, told, headers=headers)
    with store.worker() as c:
        c.execute(text("update consents set granted = false"))

    again = maya.post(path, told, headers=headers)

    assert (again.status_code, again.json()) == (202, first.json())
    assert maya.post(path, told).status_code == 422

"""Whose key opens what: nothing without one, and never another creator's things."""

from typing import Any

from caller import Client, made, message
from sqlalchemy import insert

from huntaze_pipeline.store import creators
from huntaze_pipeline.store.outflow import Message
from huntaze_pipeline.store.session import Store


def test_without_a_known_key_nothing_is_answered(service: Any) -> None:
    for headers in ({}, {"Authorization": "Bearer nope"}, {"X-API-Key": "nope"}):
        response = Client(service, None).get("/api/campaigns", headers=headers)

        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith("Bearer")
        assert response.json()["status"] == 401


def test_the_key_may_come_in_either_header(maya: Client) -> None:
    key = maya.headers["Authorization"].removeprefix("Bearer ")

    assert Client(maya.service, None).get("/api/campaigns", headers={"X-API-Key": key}).is_success


def test_an_old_key_stops_working_when_it_is_rotated(maya: Client, store: Store) -> None:
    with store.worker() as c:
        creators.rotate(c, "maya")

    assert maya.get("/api/campaigns").status_code == 401


def test_another_creators_things_are_not_there(maya: Client, bo: Client, store: Store) -> None:
    campaign = made(maya)
    with store.worker() as c:
        c.execute(insert(Message).values(message(campaign, 0, "sent")))

    calls = [
        ("GET", f"/api/campaigns/{campaign}"),
        ("GET", f"/api/campaigns/{campaign}/analytics"),
        ("POST", f"/api/campaigns/{campaign}/start"),
        ("POST", f"/api/campaigns/{campaign}/pause"),
        ("POST", f"/api/campaigns/{campaign}/cancel"),
        ("GET", "/api/onlyfans/messages/status?messageId=m-0"),
    ]
    answers = [bo(method, path) for method, path in calls]

    assert {answer.status_code for answer in answers} == {404}
    assert maya.get("/api/onlyfans/messages/status?messageId=m-0").status_code == 200
    assert bo.get("/api/campaigns").json()["total"] == 0
    assert maya.get(f"/api/campaigns/{campaign}").json()["status"] == "draft"


def test_the_same_key_of_two_creators_makes_two_things(maya: Client, bo: Client) -> None:
    event = {"name": "viewed", "fanId": "fan-1"}
    headers = {"Idempotency-Key": "same"}

    first = maya.post("/api/events", event, headers=headers).json()
    other = bo.post("/api/events", event, headers=headers).json()

    assert first["accepted"] == other["accepted"] == 1
    assert first["ids"] != other["ids"]

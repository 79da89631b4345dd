"""Events over HTTP: each taken once, or the whole list refused with every fault named."""

from caller import Client, fields
from sqlalchemy import text

from huntaze_pipeline.store.session import Store


def test_one_event_or_many_are_taken_each_once(maya: Client, store: Store) -> None:
    one = {"id": "e-1", "name": "purchase", "fanId": "fan-1", "value": 24.99, "currency": "USD"}
    two = {"id": "e-2", "name": "custom:poll", "fanId": "fan-2", "properties": {"a": [1]}}

    first = maya.post("/api/events", one)
    again = maya.post("/api/events", [one, two])

    assert first.status_code == 202
    assert first.json() == {"accepted": 1, "known": 0, "ids": ["e-1"]}
    assert again.json() == {"accepted": 1, "known": 1, "ids": ["e-1", "e-2"]}
    with store.worker() as c:
        rows = c.execute(text("select value_micros, source from inbox order by event_id")).all()
    assert [tuple(row) for row in rows] == [(24_990_000, "api"), (None, "api")]


def test_a_list_with_a_fault_is_refused_whole_and_every_fault_is_named(
    maya: Client, store: Store
) -> None:
    told = [
        {"id": "ok", "name": "viewed", "fanId": "fan-1"},
        {"name": "bought", "fanId": "fan-1", "occurredAt": "2026-03-02T12:00:00Z"},
        {"id": "x", "name": "purchase", "fanId": "fan-1", "value": -1, "currency": "XXX"},
        {"id": "y", "name": "viewed", "fanId": "fan-1", "occurredAt": "2027-01-01T00:00:00Z"},
    ]

    found = fields(maya.post("/api/events", told))

    assert found == {"1.id", "1.name", "2.value", "2.currency", "3.occurredAt"}
    with store.worker() as c:
        assert c.scalar(text("select count(*) from inbox")) == 0


def test_what_is_no_event_is_refused(maya: Client) -> None:
    for told in ([], {}, 7, "x", [7], [[]], [{"id": "x"}] * 1001):
        assert maya.post("/api/events", told).status_code == 422


def test_an_instant_needs_its_zone(maya: Client) -> None:
    told = {"id": "e", "name": "viewed", "fanId": "fan-1"}
    for at in (
        "2026-03-02",
        "2026-03-02T12:00:00",
        "noon",
        1772452800,
        "9999-12-31T23:00:00-09:00",
    ):
        assert fields(maya.post("/api/events", told | {"occurredAt": at})) == {"0.occurredAt"}

    assert maya.post("/api/events", told | {"occurredAt": None}).status_code == 202


def test_every_fault_of_an_event_is_told_at_once_those_of_shape_too(maya: Client) -> None:
    wrong = {
        "id": "e-1", "name": "purchse", "fanId": "", "value": -5, "currency": "usd",
        "occurredAt": "2026-11-30T10:00:00", "colour": "red",
    }  # fmt: skip
    fine = {"id": "e-2", "name": "viewed", "fanId": "fan-1"}

    assert fields(maya.post("/api/events", [fine, wrong])) == {
        f"1.{name}" for name in ("name", "fanId", "value", "currency", "occurredAt", "colour")
    }
    assert fields(maya.post("/api/events", fine | {"colour": "red"})) == {"0.colour"}


def test_no_value_in_any_field_of_an_event_is_a_fault_of_ours(maya: Client) -> None:
    fine = {"id": "e", "name": "viewed", "fanId": "fan-1"}
    for field in (*fine, "value", "currency", "occurredAt", "properties", "platform"):
        for value in ({}, [], 7, True, "", None, [[]], {"a": {"b": 1}}):
            response = maya.post("/api/events", fine | {field: value})
            assert response.status_code in (202, 422), (field, value, response.text)

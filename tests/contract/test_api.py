"""The HTTP API, through its own door: real requests, a real PostgreSQL."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import insert, text, update

from huntaze_pipeline.api import app, keys
from huntaze_pipeline.api.webhooks import sign
from huntaze_pipeline.clock import FixedClock
from huntaze_pipeline.events import inbox
from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.outflow import Cost, Message
from huntaze_pipeline.store.planning import Campaign, CampaignTemplate, Member, Segment
from huntaze_pipeline.store.session import Store

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECRET = "hush"
CAMPAIGN: dict[str, Any] = {
    "name": "Spring drop",
    "type": "broadcast",
    "platforms": ["onlyfans", "email"],
    "templateId": "flash_sale",
    "schedule": {
        "startDate": "2026-03-20T18:00:00+01:00",
        "endDate": "2026-03-27T18:00:00Z",
        "recurring": "daily",
    },
    "targeting": {"segmentIds": ["vip"]},
}
AT_ONCE = {**CAMPAIGN, "schedule": {}}


class Client:
    """A caller with one creator's key."""

    def __init__(self, service: Any, key: str | None) -> None:
        self.service = service
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}

    def __call__(self, method: str, path: str, **options: Any) -> httpx.Response:
        return asyncio.run(self.answer(method, path, **options))

    async def answer(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = self.headers | options.pop("headers", {})
        transport = httpx.ASGITransport(app=self.service)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            return await client.request(method, path, headers=headers, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self("GET", path, **options)

    def post(self, path: str, told: Any = None, **options: Any) -> httpx.Response:
        return self("POST", path, json=told, **options)


@pytest.fixture
def service(settings: Settings, clock: FixedClock) -> Iterator[Any]:
    found = app.create(settings.model_copy(update={"webhook_secret": SecretStr(SECRET)}), clock)
    yield found
    found.state.store.engine.dispose()


@pytest.fixture
def maya(service: Any, store: Store, creator: str) -> Client:
    with store.worker() as c:
        key = keys.rotate(c, creator)
        for name, platforms in (("flash_sale", ["onlyfans", "email"]), ("teaser", ["onlyfans"])):
            row = {"creator_id": creator, "id": name, "name": name, "category": "sale"}
            row |= {"content": {}, "platforms": platforms, "rule_hash": "x", "updated_at": NOW}
            c.execute(insert(CampaignTemplate).values(row))
        row = {"creator_id": creator, "id": "vip", "name": "VIP", "criteria": {}, "rule_hash": "x"}
        c.execute(insert(Segment).values(row))
    return Client(service, key)


@pytest.fixture
def bo(service: Any, store: Store) -> Client:
    with store.worker() as c:
        return Client(service, keys.add(c, "bo", name="Bo", zone="UTC", currency="USD"))


def made(client: Client, told: Any = CAMPAIGN) -> str:
    response = client.post("/api/campaigns", told)
    assert response.status_code == 201, response.text
    return response.json()["id"]


def fields(response: httpx.Response) -> set[str]:
    assert response.status_code == 422, response.text
    assert response.headers["content-type"] == "application/problem+json"
    return {fault["field"] for fault in response.json()["errors"]}


# keys


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
        keys.rotate(c, "maya")

    assert maya.get("/api/campaigns").status_code == 401


# campaigns


def test_a_campaign_is_made_as_it_was_asked_for(maya: Client) -> None:
    response = maya.post("/api/campaigns", CAMPAIGN)
    told = response.json()

    assert response.status_code == 201
    assert response.headers["location"] == f"/api/campaigns/{told['id']}"
    assert told["status"] == "draft"
    assert told["metrics"] == {"sent": 0, "opened": 0, "clicked": 0, "converted": 0}
    assert told["schedule"]["startDate"] == "2026-03-20T17:00:00Z"
    assert told["targeting"] == {"segmentIds": ["vip"]}
    assert maya.get(response.headers["location"]).json() == told


def test_every_fault_of_a_campaign_is_told_at_once(maya: Client) -> None:
    told = CAMPAIGN | {
        "name": "",
        "platforms": ["onlyfans", "fax"],
        "templateId": "flash_sail",
        "schedule": {"startDate": "2026-03-20", "endDate": "soon", "recurring": "often"},
        "targeting": {"segmentIds": ["vip", "vp"]},
    }

    assert fields(maya.post("/api/campaigns", told | {"name": "x"})) == {
        "platforms.1",
        "templateId",
        "schedule.startDate",
        "schedule.endDate",
        "schedule.recurring",
        "targeting.segmentIds.1",
    }
    assert fields(maya.post("/api/campaigns", told)) == {"name"}


def test_fields_of_the_wrong_type_and_unknown_ones_are_named(maya: Client) -> None:
    told = {"name": 7, "platforms": "email", "targeting": {"segmentIds": [1]}, "colour": "red"}

    assert fields(maya.post("/api/campaigns", told)) == {
        "name",
        "platforms",
        "targeting.segmentIds.0",
        "colour",
    }


def test_the_same_idempotency_key_makes_one_campaign(maya: Client) -> None:
    headers = {"Idempotency-Key": "k-1"}
    first = maya.post("/api/campaigns", CAMPAIGN, headers=headers)
    again = maya.post("/api/campaigns", CAMPAIGN, headers=headers)
    other = maya.post("/api/campaigns", CAMPAIGN | {"name": "Other"}, headers=headers)

    assert first.json() == again.json()
    assert other.status_code == 409
    assert maya.get("/api/campaigns").json()["total"] == 1


def test_ten_at_once_with_the_same_key_make_one_campaign(maya: Client, store: Store) -> None:
    told = CAMPAIGN | {"abTests": [{"variants": [{"id": "a"}, {"id": "b"}]}]}

    async def burst() -> list[httpx.Response]:
        headers = {"Idempotency-Key": "k-2"}
        calls = (
            maya.answer("POST", "/api/campaigns", json=told, headers=headers) for _ in range(10)
        )
        return await asyncio.gather(*calls)

    answers = asyncio.run(burst())

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    with store.worker() as c:
        tables = ("campaigns", "experiments", "audit")
        counts = [c.scalar(text(f"select count(*) from {table}")) for table in tables]
    assert counts == [1, 1, 1]


def test_an_experiment_is_stored_with_its_variants(maya: Client) -> None:
    test = {
        "variants": [{"id": "a"}, {"id": "b", "weight": 2, "templateId": "flash_sale"}],
        "metric": "clicked",
        "window": "48h",
    }

    campaign = made(maya, CAMPAIGN | {"abTests": [test]})
    shown = maya.get(f"/api/campaigns/{campaign}").json()["abTests"]

    assert [variant["id"] for variant in shown[0]["variants"]] == ["a", "b"]
    assert shown[0]["winnerVariantId"] is None


def test_the_list_is_paged_and_filtered_by_status(maya: Client) -> None:
    ids = [made(maya, CAMPAIGN | {"name": f"c{number}"}) for number in range(3)]
    maya.post(f"/api/campaigns/{ids[0]}/cancel")

    page = maya.get("/api/campaigns?limit=2&offset=1").json()
    gone = maya.get("/api/campaigns?status=cancelled").json()

    assert (page["total"], len(page["campaigns"])) == (3, 2)
    assert [campaign["id"] for campaign in gone["campaigns"]] == [ids[0]]
    assert fields(maya.get("/api/campaigns?status=lost&limit=0")) == {"query.status", "query.limit"}


def test_a_campaign_is_scheduled_when_its_date_is_ahead_and_active_otherwise(maya: Client) -> None:
    later = maya.post(f"/api/campaigns/{made(maya)}/start").json()
    now = maya.post(f"/api/campaigns/{made(maya, AT_ONCE)}/start").json()

    assert (later["status"], later["nextSendAt"]) == ("scheduled", "2026-03-20T17:00:00Z")
    assert (now["status"], now["nextSendAt"]) == ("active", "2026-03-02T12:00:00Z")


def test_a_paused_campaign_goes_on_where_it_was(maya: Client) -> None:
    campaign = f"/api/campaigns/{made(maya)}"
    maya.post(f"{campaign}/start")

    assert maya.post(f"{campaign}/pause").json()["status"] == "paused"
    assert maya.post(f"{campaign}/start").json()["nextSendAt"] == "2026-03-20T17:00:00Z"


def test_a_repetition_that_passed_during_a_pause_is_not_made_up_for(
    maya: Client, clock: FixedClock
) -> None:
    campaign = f"/api/campaigns/{made(maya)}"
    maya.post(f"{campaign}/start")
    maya.post(f"{campaign}/pause")
    clock.advance(timedelta(days=20))

    assert maya.post(f"{campaign}/start").json()["nextSendAt"] == "2026-03-22T17:00:00Z"


def test_a_resumed_campaign_that_was_wholly_decided_is_not_decided_again(
    maya: Client, store: Store
) -> None:
    identity = made(maya, AT_ONCE)
    maya.post(f"/api/campaigns/{identity}/start")
    with store.worker() as c:
        c.execute(update(Campaign).values(next_send_at=None))
    maya.post(f"/api/campaigns/{identity}/pause")

    resumed = maya.post(f"/api/campaigns/{identity}/start").json()

    assert (resumed["status"], resumed["nextSendAt"]) == ("active", None)


@pytest.mark.parametrize(
    ("before", "action", "can"),
    [
        ([], "pause", "start or cancel"),
        (["start"], "start", "start or pause or cancel"),
        (["cancel"], "start", "nothing"),
        (["cancel"], "cancel", "nothing"),
    ],
)
def test_a_wrong_state_is_a_conflict_that_says_what_is_possible(
    maya: Client, before: list[str], action: str, can: str
) -> None:
    campaign = f"/api/campaigns/{made(maya, AT_ONCE)}"
    for step in before:
        assert maya.post(f"{campaign}/{step}").is_success

    response = maya.post(f"{campaign}/{action}")

    assert response.status_code == 409
    assert can.removeprefix("start or pause or ") in response.json()["detail"]


def test_a_repeated_start_with_its_key_is_no_conflict(maya: Client) -> None:
    campaign = f"/api/campaigns/{made(maya, AT_ONCE)}/start"
    headers = {"Idempotency-Key": "go"}

    assert maya.post(campaign, headers=headers).json()["status"] == "active"
    assert maya.post(campaign, headers=headers).json()["status"] == "active"
    assert maya.post(campaign).status_code == 409


def test_a_campaign_whose_end_has_passed_cannot_be_started(maya: Client, clock: FixedClock) -> None:
    campaign = made(maya)
    clock.advance(timedelta(days=60))

    response = maya.post(f"/api/campaigns/{campaign}/start")

    assert response.status_code == 409
    assert "ended on" in response.json()["detail"]


def test_cancelling_stops_the_waiting_messages_in_the_same_breath(
    maya: Client, store: Store
) -> None:
    campaign = made(maya, AT_ONCE)
    maya.post(f"/api/campaigns/{campaign}/start")
    with store.worker() as c:
        for number, state in enumerate(("decided", "queued", "claimed", "sent")):
            c.execute(insert(Message).values(message(campaign, number, state)))

    maya.post(f"/api/campaigns/{campaign}/cancel")

    with store.worker() as c:
        states = c.execute(text("select state from messages order by id")).scalars().all()
        actions = c.execute(text("select action from audit order by id")).scalars().all()
        told = c.scalar(text("select detail from audit where action = 'campaign.cancel'"))
    assert states == ["cancelled", "cancelled", "claimed", "sent"]
    assert actions == ["campaign.create", "campaign.start", "campaign.cancel"]
    assert told["messages"] == 2


def test_messages_that_a_pause_held_go_on_at_once_when_it_ends(maya: Client, store: Store) -> None:
    campaign = made(maya, AT_ONCE)
    maya.post(f"/api/campaigns/{campaign}/start")
    maya.post(f"/api/campaigns/{campaign}/pause")
    held = {"reason": "campaign_paused", "not_before": NOW + timedelta(seconds=30)}
    with store.worker() as c:
        c.execute(insert(Message).values(message(campaign, 0, "decided") | held))

    maya.post(f"/api/campaigns/{campaign}/start")

    with store.worker() as c:
        row = c.execute(text("select reason, not_before from messages")).one()
    assert tuple(row) == (None, NOW)


def message(campaign: str, number: int, state: str, fan: str = "fan-1") -> dict[str, Any]:
    return {
        "creator_id": "maya",
        "id": f"m-{number}",
        "source": "campaign",
        "source_id": campaign,
        "fan_id": fan,
        "step": number,
        "platform": "onlyfans",
        "account_id": "maya-onlyfans",
        "address": fan,
        "content": "hi",
        "state": state,
        "idempotency_key": f"m-{number}",
        "not_before": NOW,
        "decided_at": NOW,
    }


# tenants


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


# messages


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


# events


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


# analytics


def touch(campaign: str, number: int, name: str, minutes: int, **more: Any) -> Event:
    told: dict[str, Any] = {
        "creator_id": "maya",
        "event_id": f"{name}-{number}",
        "name": name,
        "fan_id": f"fan-{number}",
        "occurred_at": NOW + timedelta(minutes=minutes),
        "source": "receipt",
        "platform": "onlyfans",
        "campaign_id": campaign,
        "message_id": f"m-{number}",
    }
    return Event(**(told | more))


def paid(number: int, minutes: int, micros: int, currency: str = "USD") -> Event:
    more = {"value_micros": micros, "currency": currency, "event_id": f"p-{number}-{minutes}"}
    return touch("", number, "purchase", minutes, **more, campaign_id=None, message_id=None)


@pytest.fixture
def busy(maya: Client, store: Store) -> str:
    """A campaign: three sent, two delivered (one only known by its click), one purchase."""
    campaign = made(maya, AT_ONCE)
    events = [
        touch(campaign, 1, "sent", 0),
        touch(campaign, 2, "sent", 0, platform="email"),
        touch(campaign, 3, "sent", 0, platform="email"),
        touch(campaign, 1, "clicked", 10),
        touch(campaign, 1, "clicked", 20, event_id="clicked-again"),
        touch(campaign, 2, "delivered", 5, platform="email"),
        paid(1, 60, 12_500_000),
        paid(1, 61, 3_000_000, "EUR"),
        paid(3, 60, 99_000_000),
    ]
    with store.tenant("maya") as c:
        inbox.append(c, events)
        c.execute(
            insert(Cost).values(
                creator_id="maya", id="x", campaign_id=campaign, kind="fixed", source="api",
                amount_micros=5_000_000, currency="USD", incurred_at=NOW,
            )
        )  # fmt: skip
    return campaign


def test_a_click_implies_an_open_and_a_delivery_once_per_message(maya: Client, busy: str) -> None:
    told = maya.get(f"/api/campaigns/{busy}").json()

    assert told["metrics"] == {"sent": 3, "opened": 1, "clicked": 1, "converted": 2}


def test_analytics_add_up_by_platform_and_by_day(maya: Client, busy: str) -> None:
    told = maya.get(f"/api/campaigns/{busy}/analytics").json()

    assert told["overview"] == {"impressions": 2, "clicks": 1, "conversions": 2, "revenue": 12.5}
    assert set(told["byPlatform"]) == {"onlyfans", "email"}
    assert told["byPlatform"]["email"]["impressions"] == 1
    assert told["timeline"][0]["date"] == "2026-03-02"
    for name, total in told["overview"].items():
        assert sum(part[name] for part in told["byPlatform"].values()) == total
        assert sum(day[name] for day in told["timeline"]) == total
    assert told["revenueInOtherCurrencies"] == {"EUR": 3.0}
    assert (told["cost"], told["roi"]) == (5.0, 1.5)
    assert (told["settled"], told["asOf"]) == (False, "2026-03-02T12:00:00Z")


def test_numbers_say_what_they_are_and_as_of_when(maya: Client, busy: str, store: Store) -> None:
    """Live beside settled, each with counts, rates and their intervals."""
    kept = {"sent": 2, "opened": 1, "human_opened": 1, "revenue_micros": 5_000_000}
    with store.worker() as c:
        c.execute(update(Campaign).values(metrics=kept | {"as_of": "2026-03-02T03:30:00+00:00"}))

    shown = maya.get(f"/api/campaigns/{busy}").json()
    analysed = maya.get(f"/api/campaigns/{busy}/analytics").json()

    live, settled = shown["numbers"], shown["settled"]
    assert (live["source"], live["asOf"]) == ("live", "2026-03-02T12:00:00Z")
    assert live["counts"] == {
        "sent": 3, "delivered": 2, "opened": 1, "clicked": 1, "humanOpened": 1, "humanClicked": 1,
        "converted": 2, "converters": 1,
    }  # fmt: skip
    assert live["rates"]["click"] == {
        "numerator": 1, "denominator": 3, "rate": pytest.approx(1 / 3),
        "low": pytest.approx(0.06149, abs=1e-5), "high": pytest.approx(0.79234, abs=1e-5),
    }  # fmt: skip
    assert (settled["source"], settled["asOf"]) == ("settled", "2026-03-02T03:30:00Z")
    assert (settled["counts"]["sent"], settled["revenue"]) == (2, 5.0)
    assert (analysed["numbers"], analysed["lastSettled"]) == (live, settled)


def test_before_the_first_build_nothing_is_settled(maya: Client, busy: str) -> None:
    assert maya.get(f"/api/campaigns/{busy}").json()["settled"] is None
    assert maya.get(f"/api/campaigns/{made(maya)}").json()["numbers"] is None


def test_a_timeline_by_the_hour_is_the_creator_s_clock(maya: Client, busy: str) -> None:
    told = maya.get(f"/api/campaigns/{busy}/analytics?by=hour").json()

    first = told["timeline"][0]
    assert (first["date"], first["hour"], first["at"]) == ("2026-03-02", 13, "2026-03-02T12:00:00Z")
    for name, total in told["overview"].items():
        assert sum(hour[name] for hour in told["timeline"]) == total
    assert maya.get(f"/api/campaigns/{busy}/analytics?by=week").status_code == 422


def test_machines_are_counted_and_told_apart(maya: Client, store: Store) -> None:
    campaign = made(maya, AT_ONCE)
    scanner = {"user_agent": "Barracuda Sentinel (EE)"}
    events = [
        touch(campaign, 1, "sent", 0),
        touch(campaign, 1, "clicked", 1, properties=scanner),
        touch(campaign, 2, "sent", 0),
        touch(campaign, 2, "opened", 1, properties={"honeypot": True}),
        touch(campaign, 2, "opened", 9, event_id="person"),
    ]
    with store.tenant("maya") as c:
        inbox.append(c, events)

    told = maya.get(f"/api/campaigns/{campaign}/analytics").json()

    counts = told["numbers"]["counts"]
    assert (counts["opened"], counts["clicked"]) == (2, 1)
    assert (counts["humanOpened"], counts["humanClicked"]) == (1, 0)
    assert told["byPlatform"]["onlyfans"]["humanOpened"] == 1


def test_arms_and_segments_are_those_of_the_message_s_decision(maya: Client, store: Store) -> None:
    campaign = made(maya, AT_ONCE)
    row = {
        "creator_id": "maya", "source": "campaign", "source_id": campaign, "platform": "email",
        "account_id": "maya-email", "address": "x", "content": "", "state": "sent",
        "not_before": NOW, "decided_at": NOW, "sent_at": NOW,
    }  # fmt: skip
    stay = {"creator_id": "maya", "fan_id": "fan-1", "entered_at": NOW}
    with store.worker() as c:
        for n, arm in ((1, "a"), (2, "b")):
            key = {"id": f"m-{n}", "fan_id": f"fan-{n}", "idempotency_key": f"k{n}"}
            c.execute(insert(Message).values(**row, **key, variant_id=arm))
        c.execute(insert(Member).values(**stay, segment_id="vip"))
        c.execute(
            insert(Member).values(**stay | {"entered_at": NOW + timedelta(1)}, segment_id="x")
        )
        inbox.append(c, [touch(campaign, n, "sent", 0, platform=None) for n in (1, 2)])
        inbox.append(c, [touch("", 1, "clicked", 30, campaign_id=None, platform=None)])
        inbox.append(c, [paid(1, 60, 12_500_000)])

    told = maya.get(f"/api/campaigns/{campaign}/analytics").json()

    assert {arm: part["sent"] for arm, part in told["byVariant"].items()} == {"a": 1, "b": 1}
    assert told["byVariant"]["a"]["revenue"] == 12.5
    assert set(told["bySegment"]) == {"vip"}
    assert (told["bySegment"]["vip"]["clicks"], told["bySegment"]["vip"]["conversions"]) == (1, 1)
    assert told["byPlatform"]["email"]["clicks"] == 1


def test_a_purchase_goes_to_the_last_touch_of_all_campaigns(
    maya: Client, busy: str, store: Store
) -> None:
    other = made(maya, AT_ONCE | {"name": "other"})
    later = touch(other, 1, "clicked", 30, event_id="other-click", message_id="m-9")
    with store.tenant("maya") as c:
        inbox.append(c, [later])

    first = maya.get(f"/api/campaigns/{busy}/analytics").json()["overview"]
    second = maya.get(f"/api/campaigns/{other}/analytics").json()["overview"]

    assert (first["conversions"], first["revenue"]) == (0, 0)
    assert (second["conversions"], second["revenue"]) == (2, 12.5)


@pytest.mark.parametrize(("offset_us", "counts"), [(0, 1), (1, 0), (-1, 1)])
def test_a_touch_as_old_as_its_window_counts_and_an_older_one_does_not(
    maya: Client, store: Store, offset_us: int, counts: int
) -> None:
    campaign = made(maya, AT_ONCE)
    late = NOW + timedelta(days=5, microseconds=offset_us)
    purchase = paid(1, 0, 1_000_000)
    event = Event(**{f: getattr(purchase, f) for f in Event.__slots__} | {"occurred_at": late})
    with store.tenant("maya") as c:
        inbox.append(c, [touch(campaign, 1, "clicked", 0), event])

    told = maya.get(f"/api/campaigns/{campaign}/analytics").json()

    assert told["overview"]["conversions"] == counts


def test_a_touch_after_the_purchase_earns_nothing(maya: Client, store: Store) -> None:
    campaign = made(maya, AT_ONCE)
    with store.tenant("maya") as c:
        inbox.append(c, [touch(campaign, 1, "clicked", 1), paid(1, 0, 1_000_000)])

    assert maya.get(f"/api/campaigns/{campaign}").json()["metrics"]["converted"] == 0


def test_a_campaign_without_costs_has_no_roi_and_says_why(maya: Client) -> None:
    told = maya.get(f"/api/campaigns/{made(maya)}/analytics").json()

    assert (told["roi"], told["timeline"]) == (None, [])
    assert "no cost" in told["roiNote"]


def test_a_campaign_of_the_past_shows_its_settled_numbers(maya: Client, store: Store) -> None:
    campaign = made(maya)
    with store.worker() as c:
        c.execute(update(Campaign).values(metrics={"sent": 9, "clicked": 2, "as_of": "x"}))

    told = maya.get(f"/api/campaigns/{campaign}").json()

    assert told["metrics"] == {"sent": 9, "opened": 0, "clicked": 2, "converted": 0}


# receipts


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


def test_without_a_secret_receipts_are_turned_away_to_be_tried_again(
    settings: Settings, clock: FixedClock
) -> None:
    bare = Client(app.create(settings.model_copy(update={"webhook_secret": None}), clock), None)

    assert deliver(bare, b"{}", sign("", b"{}")).status_code == 503


# hostile input


def test_ids_that_look_like_code_are_only_ids(maya: Client) -> None:
    made(maya)

    for identity in ("' or 1=1 --", '"; drop table x; --', "..%2f..", "x" * 5000, "\u202e"):
        assert maya.get(f"/api/campaigns/{identity}").status_code == 404
        query = {"messageId": identity[:200]}
        assert maya.get("/api/onlyfans/messages/status", params=query).status_code == 404
    assert maya.get("/api/campaigns").json()["total"] == 1


def test_nul_in_an_address_is_refused(maya: Client) -> None:
    for path in ("/api/campaigns/a%00b", "/api/campaigns?status=%00"):
        response = maya.get(path)
        assert response.status_code == 400
        assert response.headers["content-type"] == "application/problem+json"


def test_a_body_that_is_too_large_is_refused_whether_it_says_so_or_not(maya: Client) -> None:
    async def drip() -> Any:
        for _ in range(40):
            yield b" " * 50_000

    headers = {"Content-Type": "application/json"}
    told = maya("POST", "/api/events", content=b" " * 1_000_001, headers=headers)
    untold = maya("POST", "/api/events", content=drip(), headers=headers)

    assert (told.status_code, untold.status_code) == (413, 413)
    assert untold.headers["content-type"] == "application/problem+json"


BROKEN = [
    (b"[" * 100_000, 400),
    (b'{"id": "\\u0000"}', 400),
    (b'{"id": "\\ud800"}', 400),
    (b'{"value": NaN}', 400),
    (b'{"value": 1e999}', 400),
    (b'"\xff"', 400),
    (b"{", 422),
    (b"", 422),
    (b"null", 422),
]


def test_broken_bodies_are_answered_with_a_document(maya: Client) -> None:
    headers = {"Content-Type": "application/json"}
    for body, status in BROKEN:
        response = maya("POST", "/api/events", content=body, headers=headers)
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/problem+json"
        assert "Traceback" not in response.text


def test_no_value_in_any_field_is_a_fault_of_ours(maya: Client) -> None:
    values = [{}, [], 0, -1, 1e308, 10**30, True, "", "x" * 100_000, None, [[]], {"a": {"b": {}}}]
    for field in [*CAMPAIGN, "settings", "abTests"]:
        for value in values:
            response = maya.post("/api/campaigns", CAMPAIGN | {field: value})
            assert response.status_code in (201, 422), (field, value, response.text)


def test_an_idempotency_key_is_short_and_plain(maya: Client) -> None:
    told = {"id": "e", "name": "viewed", "fanId": "fan-1"}
    for key in ("", "a b", "x" * 201, "ü"):
        headers = {"Idempotency-Key": key.encode()}
        response = maya("POST", "/api/events", json=told, headers=headers)
        assert fields(response) == {"header.Idempotency-Key"}


def test_unknown_paths_and_methods_are_documents_too(maya: Client) -> None:
    missing, wrong = maya.get("/api/nothing"), maya("DELETE", "/api/campaigns")

    assert (missing.status_code, wrong.status_code) == (404, 405)
    assert wrong.headers["allow"]
    assert missing.json()["title"] == "Not Found"


# machines


def test_health_names_every_server(maya: Client) -> None:
    told = maya.get("/health").json()

    assert told["status"] == "ok", told
    assert set(told["dependencies"]) == {"postgres", "redis", "sqs"}


def test_without_redis_the_service_is_degraded_and_still_serves(
    settings: Settings, clock: FixedClock
) -> None:
    away = settings.model_copy(update={"redis_url": SecretStr("redis://:pw@127.0.0.1:1/0")})

    response = Client(app.create(away, clock), None).get("/health")

    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    assert "pw" not in response.text


def test_without_postgres_nothing_can_be_served_and_nothing_is_given_away(
    settings: Settings, clock: FixedClock
) -> None:
    address = SecretStr("postgresql://someone:pw@127.0.0.1:1/x")
    client = Client(app.create(settings.model_copy(update={"database_url": address}), clock), "k")

    health, call = client.get("/health"), client.get("/api/campaigns")

    assert (health.status_code, call.status_code) == (503, 503)
    assert client.get("/health/live").status_code == 200
    assert not any(word in health.text + call.text for word in ("pw", "someone", "127.0.0.1"))


def test_prometheus_reads_numbers_without_any_creators_name(maya: Client, busy: str) -> None:
    maya.post(f"/api/campaigns/{busy}/start")

    response = maya.get("/metrics")

    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "huntaze_campaigns_active 1" in response.text
    assert "huntaze_revenue_generated 12.5" in response.text
    assert "maya" not in response.text
    assert busy not in response.text


def test_the_description_names_every_route_and_the_documents_of_its_errors(maya: Client) -> None:
    told = maya.get("/openapi.json").json()

    assert "/api/campaigns/{campaign_id}/analytics" in told["paths"]
    post = told["paths"]["/api/campaigns"]["post"]
    assert {"401", "409", "413", "422", "503"} <= set(post["responses"])
    assert "application/problem+json" in post["responses"]["422"]["content"]
    assert told["components"]["schemas"]["CampaignRequest"]["examples"]

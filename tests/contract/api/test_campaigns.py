"""Campaigns over HTTP: made as asked for, or refused with every fault; started, paused, ended."""

import asyncio
from datetime import timedelta

import httpx
import pytest
from caller import AT_ONCE, CAMPAIGN, NOW, Client, fields, made, message
from sqlalchemy import insert, text, update

from huntaze_pipeline.clock import FixedClock
from huntaze_pipeline.store.outflow import Message
from huntaze_pipeline.store.planning import Campaign
from huntaze_pipeline.store.session import Store


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

    rules = {
        "platforms.1",
        "templateId",
        "schedule.startDate",
        "schedule.endDate",
        "schedule.recurring",
        "targeting.segmentIds.1",
    }
    assert fields(maya.post("/api/campaigns", told | {"name": "x"})) == rules
    assert fields(maya.post("/api/campaigns", told | {"foo": 1})) == rules | {"name", "foo"}


def test_a_fault_of_shape_alone_makes_no_campaign(maya: Client) -> None:
    for extra in ({"foo": 1}, {"name": 7}, {"settings": {"foo": 1}}, {"targeting": "all"}):
        assert len(fields(maya.post("/api/campaigns", AT_ONCE | extra))) == 1
    for told in ([], "x", 5, None, {}):
        assert fields(maya.post("/api/campaigns", told))
    assert maya.get("/api/campaigns").json()["total"] == 0


def test_fields_of_the_wrong_type_and_unknown_ones_are_named(maya: Client) -> None:
    told = {"name": 7, "platforms": "email", "targeting": {"segmentIds": [1]}, "colour": "red"}

    assert fields(maya.post("/api/campaigns", told)) == {
        "name",
        "platforms",
        "targeting.segmentIds.0",
        "colour",
        "templateId",
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

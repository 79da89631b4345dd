"""A caller of the API through its own door, and what it sends and is told."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from huntaze_pipeline.events.envelope import Event

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


def made(client: Client, told: Any = CAMPAIGN) -> str:
    response = client.post("/api/campaigns", told)
    assert response.status_code == 201, response.text
    return response.json()["id"]


def fields(response: httpx.Response) -> set[str]:
    assert response.status_code == 422, response.text
    assert response.headers["content-type"] == "application/problem+json"
    return {fault["field"] for fault in response.json()["errors"]}


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

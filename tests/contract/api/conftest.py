"""The HTTP API over a real PostgreSQL, two creators who call it, and a busy campaign."""

from collections.abc import Iterator
from typing import Any

import pytest
from caller import AT_ONCE, NOW, SECRET, Client, made, paid, touch
from pydantic import SecretStr
from sqlalchemy import insert

from huntaze_pipeline.api import app
from huntaze_pipeline.clock import FixedClock
from huntaze_pipeline.events import inbox
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store import creators
from huntaze_pipeline.store.outflow import Cost
from huntaze_pipeline.store.planning import CampaignTemplate
from huntaze_pipeline.store.segments import Segment
from huntaze_pipeline.store.session import Store


@pytest.fixture
def service(settings: Settings, clock: FixedClock) -> Iterator[Any]:
    found = app.create(settings.model_copy(update={"webhook_secret": SecretStr(SECRET)}), clock)
    yield found
    found.state.store.engine.dispose()


@pytest.fixture
def maya(service: Any, store: Store, creator: str) -> Client:
    with store.worker() as c:
        key = creators.rotate(c, creator)
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
        return Client(service, creators.add(c, "bo", name="Bo", zone="UTC", currency="USD"))


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

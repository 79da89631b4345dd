"""What a fan did, asked live: half of it in the lake, half of it in the inbox, each event once."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert

from huntaze_pipeline.events import inbox
from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.rulebook import conduct, matching, people
from huntaze_pipeline.rulebook.conditions import parse
from huntaze_pipeline.rulebook.question import holds
from huntaze_pipeline.store.planning import Campaign
from huntaze_pipeline.warehouse import lake, pull

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def event(name, number, days, value=None, **more):
    properties = more.pop("properties", {})
    return Event(
        creator_id="maya", event_id=f"e{number}", name=name, fan_id="fan-1", source="api",
        occurred_at=NOW - days * DAY, properties=properties,
        value_micros=None if value is None else int(value * 1_000_000),
        currency=None if value is None else "USD", **more,
    )  # fmt: skip


@pytest.fixture
def con(settings, creator):
    with lake.connect(settings) as found:
        yield found


def test_live_questions_see_lake_inbox_and_batch_each_event_once(store, con):
    old = [
        event("purchase", 1, 40, 30, platform="email"),
        event("purchase", 2, 20, 10, properties={"sku": "a"}),
        event("sent", 3, 3, message_id="m", properties={"template": "content_poll"}),
    ]
    new = [event("purchase", 4, 1, 50, properties={"sku": "b"}), event("tip", 5, 1, 5)]
    batch = [event("clicked", 6, 0, campaign_id="spring"), event("purchase", 7, 0, 2)]
    with store.worker() as connection:
        one = {"creator_id": "maya", "id": "spring", "name": "Spring", "platforms": ["email"]}
        connection.execute(insert(Campaign).values(**one, template_id="flash_sale"))
        inbox.append(connection, old)
    pull.inbox(store, con)
    with store.worker() as connection:
        inbox.append(connection, [*new, *batch])
    texts = {
        "performed('purchase', within => '30d', at_least => 2)": {0, 1},
        "performed('purchase', within => '30d', at_least => 3)": {1},
        "count('purchase') = 3": {0},
        "sum('purchase', value) = 92": {1},
        "performed('purchase', where => properties.sku = 'b')": {0, 1},
        "last('purchase', platform) is null and first('purchase', platform) = 'email'": {0, 1},
        "received('content_poll', within => '1w') and not received('flash_sale')": {0, 1},
        "campaign.name = 'Spring' and contains(campaign.platforms, 'email')": {0},
        "campaign.template = 'flash_sale' and creator.zone = fan.zone": {0},
        "creator.name = 'Maya' and campaign.id is null": {1},
    }
    with store.worker() as connection:
        keys, ids = [("maya", "fan-1")], [e.event_id for e in batch]
        known = people.load_fans(connection, con, keys, besides=ids)
        frame = people.frame(batch)
        asked = [parse(text) for text in texts]
        conduct.add(known, connection, con, frame, asked, besides=ids)
    questions = {text: holds(text) for text in texts}
    found = matching.answers(frame, known.fans, questions, known)
    for text, positions in texts.items():
        assert {p for p, hits in found.hits.items() if text in hits} == positions, text
    assert not any(name.startswith("did_") for name in found.fans[0])


def test_only_what_the_longest_window_can_see_is_read(store, con):
    with store.worker() as connection:
        inbox.append(connection, [event("purchase", i, i, 1) for i in range(1, 60)])
    pull.inbox(store, con)
    condition = parse("performed('purchase', within => '7d') or performed('tip', within => '9d')")
    frame = people.frame([event("tip", 99, 0, 1)])
    with store.worker() as connection:
        known = people.load_fans(connection, con, [("maya", "fan-1")])
        conduct.add(known, connection, con, frame, [condition])
    assert sorted(known.history["event_id"]) == sorted(f"e{i}" for i in range(1, 10))

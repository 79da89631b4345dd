"""A campaign's numbers over HTTP, live and settled."""

from datetime import timedelta

import pytest
from caller import AT_ONCE, NOW, Client, made, paid, touch
from sqlalchemy import insert, update

from huntaze_pipeline.events import inbox
from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.store.outflow import Message
from huntaze_pipeline.store.planning import Campaign
from huntaze_pipeline.store.segments import Member
from huntaze_pipeline.store.session import Store


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

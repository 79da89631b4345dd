"""The gate on an audience: a campaign that fails it is paused before anything is queued."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text, update

from huntaze_pipeline.campaigns import inspection, launch, lifecycle
from huntaze_pipeline.errors import ConflictError
from huntaze_pipeline.orchestration import ticks
from huntaze_pipeline.quality import history
from huntaze_pipeline.rulebook import loader, registry
from huntaze_pipeline.store.outflow import Audit, Message
from huntaze_pipeline.store.people import Account, Consent, Fan, Identity
from huntaze_pipeline.store.planning import Campaign
from huntaze_pipeline.store.session import Store

RULES = Path(__file__).parents[2] / "rules"
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
WEEK = NOON - timedelta(days=10)


@pytest.fixture(scope="module")
def rulebook():
    return loader.load(RULES)


@pytest.fixture
def policies(rulebook):
    return rulebook.policies


@pytest.fixture
def live(store: Store, creator: str, rulebook) -> Store:
    with store.worker() as c:
        registry.apply(c, creator, rulebook, NOON)
    people(store, 40)
    return store


def people(store: Store, count: int, prefix: str = "many", consent: bool = True, since=WEEK):
    base = {"creator_id": "maya"}
    ids = [f"{prefix}-{n:04d}" for n in range(count)]
    with store.worker() as c:
        c.execute(
            insert(Fan),
            [base | {"id": i, "name": i, "zone": "Europe/Paris", "created_at": since} for i in ids],
        )
        place = {"platform": "email", "account_id": "maya-email"}
        c.execute(
            insert(Identity),
            [base | place | {"fan_id": i, "address": i, "normalised": f"{i}@x.org"} for i in ids],
        )
        if consent:
            agreed = {"topic": "marketing", "granted": True, "source": "test"}
            c.execute(insert(Consent), [base | agreed | {"fan_id": i} for i in ids])


def schedule(store: Store, **values: object) -> None:
    change = {"status": "scheduled", "next_send_at": NOON, "targeting": {}, **values}
    with store.worker() as c:
        c.execute(update(Campaign).where(Campaign.id == "spring_drop").values(change))


def row(store: Store):
    with store.worker() as c:
        return c.execute(select(Campaign.__table__).where(Campaign.id == "spring_drop")).one()


def messages(store: Store) -> int:
    with store.worker() as c:
        return len(c.execute(select(Message.id)).all())


def audited(store: Store) -> list[tuple[str, str]]:
    with store.tenant("maya") as c:
        wanted = select(Audit.actor, Audit.action).order_by(Audit.id)
        return [tuple(r) for r in c.execute(wanted)]


def test_a_sound_audience_goes_out_and_its_checks_are_kept(live, policies) -> None:
    schedule(live)

    assert ticks.start(live, None, policies, NOON) == 43
    assert row(live).stopped is None
    with live.tenant("maya") as c:
        kept = history.listed(c, suite="audience")
    assert {r["success"] for r in kept if r["severity"] == "error"} == {True}
    assert {r["subject"] for r in kept} == {f"campaign:spring_drop:{NOON.isoformat()}"}


def test_a_campaign_that_cannot_be_decided_is_told_and_stops_no_other(live, policies) -> None:
    schedule(live)
    with live.worker() as c:
        change = {"status": "scheduled", "next_send_at": NOON - timedelta(hours=1)}
        broken = update(Campaign).where(Campaign.id == "vip_monthly")
        c.execute(broken.values(change | {"targeting": {"cap": "many"}}))
    told: list[str] = []

    assert ticks.start(live, None, policies, NOON, told.append) == 43
    assert len(told) == 1
    assert told[0].startswith("campaign vip_monthly of maya was not decided: ")
    with live.worker() as c:
        wanted = select(Campaign.status).where(Campaign.id == "vip_monthly")
        assert c.scalar(wanted) == "scheduled"


def test_an_audience_that_never_agreed_stops_the_campaign_with_the_reason(live, policies) -> None:
    people(live, 200, "bought", consent=False)
    schedule(live)

    assert ticks.start(live, None, policies, NOON) == 0
    assert ticks.start(live, None, policies, NOON + timedelta(seconds=1)) == 0
    found = row(live)
    assert (found.status, found.next_send_at, messages(live)) == ("paused", NOON, 0)
    assert "ExpectColumnValuesToBeInSet consent" in found.stopped["reason"]
    assert "200 of 243, such as unknown" in found.stopped["reason"]
    assert audited(live) == [("quality", "campaign.stopped")]


def test_a_mended_audience_goes_out_when_the_campaign_is_started_again(live, policies) -> None:
    people(live, 200, "bought", consent=False)
    schedule(live)
    ticks.start(live, None, policies, NOON)
    with live.tenant("maya") as c:
        c.execute(text("delete from fans where id like 'bought-%'"))
        started = lifecycle.start(c, "maya", "spring_drop", now=NOON, actor="test")
    assert (started.status, started.stopped, started.waiver) == ("active", None, None)
    assert ticks.start(live, None, policies, NOON) == 43


def test_starting_it_without_mending_it_stops_it_again(live, policies) -> None:
    people(live, 200, "bought", consent=False)
    schedule(live)
    ticks.start(live, None, policies, NOON)
    with live.tenant("maya") as c:
        lifecycle.start(c, "maya", "spring_drop", now=NOON, actor="test")
    assert ticks.start(live, None, policies, NOON) == 0
    assert row(live).status == "paused"


def test_a_waiver_lets_one_occurrence_go_and_is_in_the_audit(live, policies) -> None:
    people(live, 200, "bought", consent=False)
    schedule(live, recurring="daily", start_at=NOON)
    ticks.start(live, None, policies, NOON)
    later = NOON + timedelta(hours=2)
    with live.tenant("maya") as c:
        lifecycle.start(
            c, "maya", "spring_drop", now=later, actor="ana", override_quality="asked by phone"
        )
    assert ticks.start(live, None, policies, later) == 243
    assert (row(live).waiver, row(live).next_send_at) == (None, NOON + timedelta(days=1))
    assert audited(live) == [
        ("quality", "campaign.stopped"), ("ana", "campaign.start"), ("quality", "campaign.waived"),
    ]  # fmt: skip
    with live.tenant("maya") as c:
        details = c.execute(select(Audit.detail).order_by(Audit.id)).scalars().all()
    assert details[1]["override_quality"] == details[2]["waiver"] == "asked by phone"
    ticks.start(live, None, policies, NOON + timedelta(days=1))
    assert row(live).status == "paused"


def test_a_blank_reason_is_no_reason(live) -> None:
    with live.tenant("maya") as c, pytest.raises(ConflictError, match="say why"):
        lifecycle.start(
            c, "maya", "spring_drop", now=NOON, actor="ana", override_quality="  "
        )  # fmt: skip


def test_an_audience_that_jumped_against_the_previous_one_stops(live, policies) -> None:
    schedule(live, recurring="daily", start_at=NOON)
    assert ticks.start(live, None, policies, NOON) == 43
    people(live, 200, "new")  # 243 is more than three times 43 and fifty more
    ticks.start(live, None, policies, NOON + timedelta(days=1))

    assert row(live).status == "paused"
    assert "audience of 243, usually 43" in row(live).stopped["reason"]


def test_a_first_audience_is_held_against_what_its_segments_held_last_week(live, policies) -> None:
    people(live, 400, "sudden", since=NOON - timedelta(hours=1))
    schedule(live)
    ticks.start(live, None, policies, NOON)

    assert "audience of 443, usually 40" in row(live).stopped["reason"]


def test_an_audience_that_is_suddenly_empty_stops(live, policies) -> None:
    people(live, 400, "gone")
    schedule(live, recurring="daily", start_at=NOON)
    ticks.start(live, None, policies, NOON)
    with live.worker() as c:
        c.execute(text("delete from fans"))
    ticks.start(live, None, policies, NOON + timedelta(days=1))

    assert "audience of 0, usually 443" in row(live).stopped["reason"]


def test_one_address_for_many_fans_stops(live, policies) -> None:
    with live.worker() as c:
        c.execute(insert(Account), [
            {"creator_id": "maya", "id": f"m{n}", "platform": "email", "handle": f"m{n}"}
            for n in range(40)
        ])  # fmt: skip
        c.execute(
            text("""
            update identities set normalised = 'info@x.org', account_id = 'm' || n
            from (select fan_id as f, row_number() over (order by fan_id) - 1 as n
                  from identities where fan_id like 'many-%') x where fan_id = f
        """)
        )
    schedule(live, platforms=["email"])
    ticks.start(live, None, policies, NOON)

    assert "ExpectCompoundColumnsToBeUnique platform, address" in row(live).stopped["reason"]
    assert "email, info@x.org" in row(live).stopped["reason"]


def test_fans_without_any_address_stop_it(live, policies) -> None:
    with live.worker() as c:
        c.execute(text("delete from identities where fan_id like 'many-%'"))
    schedule(live)
    ticks.start(live, None, policies, NOON)

    assert "half of the audience can be reached" in row(live).stopped["reason"]


def test_a_capped_audience_is_inspected_as_it_will_go(live, policies) -> None:
    people(live, 400, "sudden", since=NOON - timedelta(hours=1))
    schedule(live, targeting={"cap": 30})
    with live.worker() as c:
        (campaign,) = launch.due(c, NOON)
        found = inspection.inspect(
            c, campaign, policies, NOON, inspection.suite.active("audience")
        )  # fmt: skip
    assert (found.size, found.usual, found.reason) == (30, 30, None)

"""Campaigns against the real store: the audience becomes rows, each with its reason."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert, select, text, update

from huntaze_pipeline.campaigns import launch, lifecycle
from huntaze_pipeline.delivery import outbox
from huntaze_pipeline.rulebook import loader, registry
from huntaze_pipeline.store.outflow import Message
from huntaze_pipeline.store.people import Account, Consent, Fan, Identity, Suppression
from huntaze_pipeline.store.planning import Campaign, Experiment

RULES = Path(__file__).parents[3] / "rules"
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def rulebook():
    return loader.load(RULES)


@pytest.fixture
def live(store, creator, rulebook):
    """A creator with 400 more fans, on e-mail only, and the rules applied."""
    names = [f"many-{i:03d}" for i in range(400)]
    base = {"creator_id": creator}
    with store.worker() as c:
        registry.apply(c, creator, rulebook, NOON)
        c.execute(insert(Fan), [base | {"id": n, "name": n, "locale": "fr-CA"} for n in names])
        address = {"platform": "email", "account_id": "maya-email"}
        c.execute(
            insert(Identity),
            [
                base | address | {"fan_id": n, "address": f"{n}@x.org", "normalised": f"{n}@x.org"}
                for n in names
            ],
        )
        agreed = {"topic": "marketing", "granted": True, "source": "test"}
        c.execute(insert(Consent), [base | agreed | {"fan_id": n} for n in names])
    return store


def start(store, name="spring_drop", **values):
    change = {"status": "scheduled", "next_send_at": NOON, "targeting": {}, **values}
    with store.worker() as c:
        c.execute(update(Campaign).where(Campaign.id == name).values(change))


def go(store, policies, now=NOON):
    with store.worker() as c:
        decisions = []
        for campaign in launch.due(c, now):
            mine = launch.plan(c, campaign, now, policies)
            outbox.record(c, mine)
            launch.advance(c, campaign, now)
            decisions += mine
        return decisions


def status(store, name="spring_drop"):
    with store.worker() as c:
        columns = select(Campaign.status, Campaign.next_send_at).where(Campaign.id == name)
        return tuple(c.execute(columns).one())


def test_every_member_becomes_one_row_and_the_books_balance(live, rulebook):
    start(live)
    decisions = go(live, rulebook.policies)
    assert len(decisions) == 403
    assert Counter(d.state for d in decisions)["decided"] > 350
    assert {d.reason for d in decisions if d.state == "skipped"} == {"holdout"}
    assert status(live) == ("active", None)
    assert go(live, rulebook.policies) == []


def test_both_arms_get_their_words_and_their_share(live, rulebook):
    start(live)
    decisions = [d for d in go(live, rulebook.policies) if d.state == "decided"]
    arms = Counter(d.variant_id for d in decisions)
    assert all(150 < n < 240 for n in arms.values())
    for words, arm in (("Early access", "early_access"), ("Last call", "last_call")):
        assert {d.variant_id for d in decisions if words in d.content} == {arm}
        assert all(words in d.content for d in decisions if d.variant_id == arm)


def test_fans_read_their_own_language(live, rulebook):
    start(live)
    french = [d for d in go(live, rulebook.policies) if d.fan_id.startswith("many") and d.content]
    assert all("Bonjour" in d.content and "pendant 48 heures" in d.subject for d in french)


def test_assignment_is_the_same_again_and_does_not_depend_on_the_others(live, rulebook):
    start(live)
    with live.worker() as c:
        (campaign,) = launch.due(c, NOON)
        first = {d.fan_id: d for d in launch.plan(c, campaign, NOON, rulebook.policies)}
        c.execute(text("delete from fans where id > 'many-100'"))
        second = launch.plan(c, campaign, NOON, rulebook.policies)
    assert all(first[d.fan_id] == d for d in second)


def test_each_no_is_a_row_with_its_reason(live, rulebook):
    start(live, settings={})
    with live.worker() as c:
        c.execute(update(Consent).where(Consent.fan_id == "many-000").values(granted=False))
        c.execute(text("delete from consents where fan_id = 'many-001'"))
        c.execute(text("delete from identities where fan_id = 'many-002'"))
        values = {"creator_id": "maya", "platform": "email", "reason": "bounced"}
        c.execute(insert(Suppression).values(values | {"normalised": "many-003@x.org"}))
        c.execute(insert(Account).values(creator_id="maya", id="e2", platform="email", handle="b"))
        twin = update(Identity).where(Identity.fan_id == "many-005")
        c.execute(twin.values(account_id="e2", normalised="many-004@x.org"))
        c.execute(update(Account).where(Account.id == "maya-onlyfans").values(status="banned"))
    reasons = {d.fan_id: d.reason for d in go(live, rulebook.policies) if d.state == "skipped"}
    assert reasons == {
        "fan-1": "account_banned", "fan-2": "account_banned", "fan-3": "account_banned",
        "many-000": "consent_withdrawn", "many-001": "no_consent", "many-002": "no_address",
        "many-003": "suppressed: bounced", "many-005": "duplicate_address",
    }  # fmt: skip


def test_segments_are_united_exclusions_taken_away_and_the_cap_is_stable(live, rulebook):
    members = [("vip", "many-001"), ("engaged", "many-002"), ("lapsed", "many-002")]
    with live.worker() as c:
        for segment, fan in members:
            row = {"segment": segment, "fan": fan, "at": NOON}
            c.execute(text("insert into members values (:segment, :fan, :at, null, 'maya')"), row)
    targeting = {"segmentIds": ["vip", "engaged"], "excludeSegmentIds": ["lapsed"]}
    start(live, targeting=targeting)
    assert [d.fan_id for d in go(live, rulebook.policies)] == ["many-001"]
    start(live, name="friday_teaser", targeting={"cap": 10}, recurring=None)
    assert len(go(live, rulebook.policies)) == 10


def test_a_recurring_campaign_goes_again_and_skips_what_was_missed(live, rulebook):
    first = datetime(2026, 3, 27, 17, 0, tzinfo=UTC)  # 18:00 in Paris, in winter
    start(live, name="friday_teaser", next_send_at=first)
    assert len(go(live, rulebook.policies, first)) == 403
    summer = datetime(2026, 4, 3, 16, 0, tzinfo=UTC)  # 18:00 in Paris, in summer
    assert status(live, "friday_teaser") == ("active", summer)
    late = summer + timedelta(days=8)
    decisions = go(live, rulebook.policies, late)
    assert {d.occurrence for d in decisions} == {summer.isoformat()}
    assert status(live, "friday_teaser")[1] == datetime(2026, 4, 17, 16, 0, tzinfo=UTC)


def test_a_campaign_is_completed_when_nothing_is_left_to_send(live, rulebook):
    start(live)
    go(live, rulebook.policies)
    with live.worker() as c:
        assert launch.settle(c, NOON) == 0
        c.execute(update(Message).values(state="sent"))
        assert launch.settle(c, NOON) == 1
        assert c.scalar(select(Experiment.started_at)) == NOON
    assert status(live) == ("completed", None)


def test_a_template_that_speaks_of_facts_never_sends_a_wrong_number(live, rulebook):
    start(live, template_id="milestone_celebration", settings={})
    decisions = go(live, rulebook.policies)
    assert {d.state for d in decisions} == {"skipped"}
    assert "purchases" in decisions[0].reason


def test_paused_and_future_campaigns_are_not_due(live, rulebook):
    start(live, status="paused")
    start(live, name="friday_teaser", next_send_at=NOON + timedelta(seconds=1))
    assert go(live, rulebook.policies) == []


ZONES = {"fan-1": "Asia/Tokyo", "fan-2": "Europe/Paris", "fan-3": "America/Los_Angeles"}


def at_six(store, now, **values):
    """Let the fans live around the world, and a campaign go at six on their own clocks."""
    with store.worker() as c:
        for fan, zone in ZONES.items():
            c.execute(update(Fan).where(Fan.id == fan).values(zone=zone))
        plain = {"targeting": {}, "settings": {}, "local_time": "18:00", **values}
        c.execute(update(Campaign).where(Campaign.id == "spring_drop").values(plain))
        lifecycle.start(c, "maya", "spring_drop", now=now, actor="test")


def six(decisions):
    return {
        d.fan_id: d.not_before.astimezone(ZoneInfo(ZONES[d.fan_id])).isoformat()[:16]
        for d in decisions
        if d.fan_id in ZONES and d.state == "decided"
    }


def test_everybody_gets_it_at_six_of_their_own_clock(live, rulebook):
    day = datetime(2026, 3, 5, 0, 0, tzinfo=ZoneInfo("Europe/Paris"))
    at_six(live, NOON, start_at=day)
    name, due = status(live)
    assert (name, due) == ("scheduled", datetime(2026, 3, 5, 3, 0, tzinfo=UTC))
    decisions = go(live, rulebook.policies, due)
    assert six(decisions) == dict.fromkeys(ZONES, "2026-03-05T18:00")
    life = next(d.expires_at - d.not_before for d in decisions if d.fan_id == "fan-3")
    assert life == timedelta(hours=12)
    assert go(live, rulebook.policies, due) == []


def test_whose_clock_is_past_gets_it_the_next_day_unless_that_day_has_its_own(live, rulebook):
    at_six(live, NOON, start_at=NOON)
    decisions = go(live, rulebook.policies)
    assert six(decisions) == {
        "fan-1": "2026-03-03T18:00", "fan-2": "2026-03-02T18:00", "fan-3": "2026-03-02T18:00"
    }  # fmt: skip


def test_a_daily_one_skips_whose_clock_is_past_and_says_so(live, rulebook):
    at_six(live, NOON, start_at=NOON, recurring="daily")
    decisions = go(live, rulebook.policies)
    assert set(six(decisions)) == {"fan-2", "fan-3"}
    assert [d.reason for d in decisions if d.fan_id == "fan-1"] == ["missed_local_time"]
    tomorrow = datetime(2026, 3, 3, 3, 0, tzinfo=UTC)
    assert status(live) == ("active", tomorrow)
    again = go(live, rulebook.policies, tomorrow)
    assert six(again) == dict.fromkeys(ZONES, "2026-03-03T18:00")


def test_nothing_goes_after_the_campaigns_end(live, rulebook):
    start(live, end_at=NOON + timedelta(hours=1), settings={"holdout": 0})
    assert {d.expires_at for d in go(live, rulebook.policies)} == {NOON + timedelta(hours=1)}

"""Schedules and anniversaries as events: one per fan and occurrence, also after an outage."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import insert, select, text, update

from huntaze_pipeline.campaigns import reactions
from huntaze_pipeline.events import inbox
from huntaze_pipeline.orchestration import ticks
from huntaze_pipeline.rulebook import policies as policies_
from huntaze_pipeline.store.automations import Automation
from huntaze_pipeline.store.inflow import InboxEvent
from huntaze_pipeline.store.people import Fan
from huntaze_pipeline.store.segments import Member
from huntaze_pipeline.store.timing import Clock, Occasion
from huntaze_pipeline.timing import clocks, occasions

APPLIED = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)  # a Monday
FRIDAY = datetime(2026, 3, 6, 17, 0, tzinfo=UTC)  # 18:00 in Paris


def rule(store, trigger, name="weekly", **more):
    values = {
        "creator_id": "maya", "id": name, "name": name, "trigger": trigger, "rule_hash": name,
        "actions": [{"content": "Friday!", "topic": "service"}], "updated_at": APPLIED,
    }  # fmt: skip
    with store.worker() as connection:
        connection.execute(insert(Automation).values(values | more))


def chime(store, now):
    told = []
    while ticks.chime(store, None, now, told.append):
        pass
    return told


def events(store):
    columns = (InboxEvent.fan_id, InboxEvent.name, InboxEvent.occurred_at, InboxEvent.properties)
    with store.worker() as connection:
        return connection.execute(
            select(*columns).order_by(InboxEvent.occurred_at, InboxEvent.fan_id)
        ).all()


def rows(store, *columns):
    with store.worker() as connection:
        return connection.execute(select(*columns).order_by(*columns)).all()


def change(store, table, fan, **values):
    with store.worker() as connection:
        connection.execute(update(table).where(table.id == fan).values(**values))


@pytest.fixture
def weekly(store, creator):
    rule(store, {"schedule": "0 18 * * 5", "zone": "fan"})
    return store


def test_each_fan_gets_the_event_when_it_is_18_00_where_it_lives(weekly):
    change(weekly, Fan, "fan-1", zone="America/New_York")
    change(weekly, Fan, "fan-2", zone=None)  # the creator's zone: Paris
    chime(weekly, APPLIED)
    assert events(weekly) == []
    chime(weekly, FRIDAY + timedelta(seconds=1))
    assert [e.fan_id for e in events(weekly)] == ["fan-2", "fan-3"]
    chime(weekly, FRIDAY + timedelta(hours=6, seconds=1))
    found = events(weekly)
    assert [(e.fan_id, e.occurred_at) for e in found][2:] == [
        ("fan-1", FRIDAY + timedelta(hours=6))
    ]
    assert {e.properties["moment"] for e in found} == {"2026-03-06T18:00"}


def test_a_round_that_repeats_or_dies_half_way_makes_no_second_event(weekly):
    chime(weekly, FRIDAY)
    with weekly.worker() as connection:
        connection.execute(update(Occasion).values(state="open", cursor=""))
        connection.execute(update(Clock).values(done_to=APPLIED, next_at=APPLIED))
    chime(weekly, FRIDAY + timedelta(minutes=1))
    assert len(events(weekly)) == 3
    assert {row.state for row in rows(weekly, Occasion.state)} == {"made"}


def test_after_an_outage_each_moment_is_made_up_and_what_is_too_late_is_told(store, creator):
    rule(store, {"schedule": "0 * * * *", "zone": "creator", "expires_after": "3h"})
    told = chime(store, APPLIED + timedelta(hours=10, minutes=30))
    made = sorted({e.occurred_at for e in events(store)})
    assert made == [APPLIED + timedelta(hours=h) for h in (8, 9, 10)]
    assert len(events(store)) == 9
    assert len(told) == 1
    assert "7 moments" in told[0]
    assert ("missed", 7) in rows(store, Occasion.state, Occasion.times)


def test_an_occasion_that_stays_open_too_long_is_given_up_and_told(weekly):
    with weekly.worker() as connection:
        clocks.sync(connection)
        assert occasions.open_due(connection, FRIDAY).moments == 1
    told = chime(weekly, FRIDAY + timedelta(days=2))
    assert any("reached 0 fans only" in line for line in told)
    assert events(weekly) == []


def test_only_members_of_the_segment_at_that_moment_count(store, creator):
    rule(store, {"schedule": "0 18 * * 5", "segment": "vip"})
    hour = timedelta(hours=1)
    stays = [("fan-1", FRIDAY - hour, None), ("fan-2", FRIDAY - 2 * hour, FRIDAY - hour)]
    stays.append(("fan-3", FRIDAY + hour, None))
    with store.worker() as connection:
        for fan, came, went in stays:
            values = {"creator_id": "maya", "segment_id": "vip", "fan_id": fan}
            connection.execute(insert(Member).values(**values, entered_at=came, left_at=went))
    chime(store, FRIDAY + 2 * hour)
    assert [e.fan_id for e in events(store)] == ["fan-1"]


def test_birthdays_come_once_a_year_and_29_february_on_the_28th(store, creator):
    rule(store, {"anniversary": "birthday", "at": "09:00"})
    change(store, Fan, "fan-1", birthday=date(1996, 3, 3))
    change(store, Fan, "fan-2", birthday=date(2000, 2, 29))
    for day in ("2026-03-03", "2026-03-04", "2027-02-27", "2027-02-28", "2027-03-01", "2027-03-03"):
        chime(store, datetime.fromisoformat(day).replace(hour=12, tzinfo=UTC))
    found = [(e.fan_id, e.occurred_at.date(), e.properties["years"]) for e in events(store)]
    assert found == [
        ("fan-1", date(2026, 3, 3), 30),
        ("fan-2", date(2027, 2, 28), 27),
        ("fan-1", date(2027, 3, 3), 31),
    ]


def test_an_anniversary_may_be_of_an_attribute_and_what_is_no_date_is_none(store, creator):
    rule(store, {"anniversary": "attributes.wedding", "at": "09:00", "zone": "creator"})
    for fan, value in (("fan-1", "2020-03-03"), ("fan-2", "soon"), ("fan-3", "2026-03-03")):
        change(store, Fan, fan, attributes={"wedding": value})
    chime(store, datetime(2026, 3, 3, 12, tzinfo=UTC))
    assert [(e.fan_id, e.properties["years"]) for e in events(store)] == [("fan-1", 6)]


def test_the_rule_answers_the_clocks_event_and_another_trigger_does_not(weekly, settings):
    rule(weekly, {"schedule": "0 9 * * 1"}, "monday")
    chime(weekly, FRIDAY)
    with weekly.worker() as connection:
        policies = policies_.load_policies(settings.rules_dir)
        reaction = reactions.react(connection, None, inbox.tail(connection), policies, FRIDAY)
    assert {d.source_id for d in reaction.decisions} == {"weekly"}
    assert len(reaction.decisions) == 3


def test_a_clock_is_forgotten_with_its_rule_and_counts_anew_when_it_comes_back(weekly):
    chime(weekly, APPLIED)
    change(weekly, Automation, "weekly", is_active=False)
    chime(weekly, APPLIED)
    assert rows(weekly, Clock.id) == []
    later = FRIDAY + timedelta(hours=1)
    change(weekly, Automation, "weekly", is_active=True, updated_at=later)
    chime(weekly, later)
    assert events(weekly) == []
    assert rows(weekly, Clock.since) == [(later,)]


def test_zones_are_found_without_reading_every_fan(store, creator):
    with store.worker() as connection:
        connection.execute(
            text(
                "insert into fans (creator_id, id, zone)"
                " select 'maya', 'x' || n, 'Europe/Paris' from generate_series(1, 20000) n"
            )
        )
    rule(store, {"schedule": "0 18 * * 5"})
    chime(store, FRIDAY)
    assert len(events(store)) == 20_003

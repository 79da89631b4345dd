"""Silences: each told once, from live events and from imported history, on a real store."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select, update

from huntaze_pipeline.events import inbox
from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.orchestration import ticks
from huntaze_pipeline.store.automations import Automation
from huntaze_pipeline.store.inflow import InboxEvent
from huntaze_pipeline.store.timing import Occasion, Quiet
from huntaze_pipeline.timing import silences
from huntaze_pipeline.warehouse import lake as lakes

APPLIED = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def rule(store, **trigger):
    silence = {"silence": {"event": ["opened", "clicked"], "for": "30d"}, **trigger}
    values = {
        "creator_id": "maya", "id": "quiet", "name": "quiet", "trigger": silence,
        "rule_hash": "quiet", "actions": [{"content": "Hey"}], "updated_at": APPLIED,
    }  # fmt: skip
    with store.worker() as connection:
        connection.execute(insert(Automation).values(values))


def happened(store, fan, at, name="opened"):
    event = Event(
        creator_id="maya", event_id=f"{name}-{fan}-{at.isoformat()}", name=name, fan_id=fan,
        occurred_at=at, source="api", platform="email",
    )  # fmt: skip
    with store.worker() as connection:
        inbox.append(connection, [event])


def chime(store, now, lake=None):
    told = []
    while ticks.chime(store, lake, now, told.append):
        pass
    return told


def silent(store):
    columns = (InboxEvent.fan_id, InboxEvent.occurred_at)
    query = select(*columns).where(InboxEvent.name == "silent").order_by(*columns[::-1])
    with store.worker() as connection:
        return [tuple(row) for row in connection.execute(query)]


@pytest.fixture
def quiet(store, creator):
    rule(store)
    return store


def test_a_silence_is_told_once_and_again_only_after_the_fan_was_heard(quiet):
    happened(quiet, "fan-1", APPLIED)
    happened(quiet, "fan-1", APPLIED + DAY, "clicked")
    chime(quiet, APPLIED + 30 * DAY)
    assert silent(quiet) == []
    for late in (31, 32, 200):
        chime(quiet, APPLIED + late * DAY)
    assert silent(quiet) == [("fan-1", APPLIED + 31 * DAY)]
    happened(quiet, "fan-1", APPLIED + 201 * DAY)
    chime(quiet, APPLIED + 230 * DAY)
    assert len(silent(quiet)) == 1
    chime(quiet, APPLIED + 231 * DAY)
    assert silent(quiet)[1:] == [("fan-1", APPLIED + 231 * DAY)]


def test_who_was_silent_before_the_rule_went_live_is_left_alone_and_other_events_break_nothing(
    quiet,
):
    happened(quiet, "fan-1", APPLIED - 31 * DAY)
    happened(quiet, "fan-2", APPLIED - 29 * DAY)
    happened(quiet, "fan-2", APPLIED, "delivered")
    chime(quiet, APPLIED + 60 * DAY)
    assert silent(quiet) == [("fan-2", APPLIED + DAY)]


def test_an_event_that_comes_in_late_moves_a_silence_that_was_not_told_yet(quiet):
    happened(quiet, "fan-1", APPLIED)
    chime(quiet, APPLIED + DAY)
    happened(quiet, "fan-1", APPLIED + 5 * DAY)
    happened(quiet, "fan-1", APPLIED + 2 * DAY)
    chime(quiet, APPLIED + 30 * DAY)
    assert silent(quiet) == []
    chime(quiet, APPLIED + 35 * DAY)
    assert silent(quiet) == [("fan-1", APPLIED + 35 * DAY)]


def test_a_round_that_repeats_tells_nothing_twice(quiet):
    happened(quiet, "fan-1", APPLIED)
    chime(quiet, APPLIED + 30 * DAY)
    with quiet.worker() as connection:  # as if a crash had come before the row was marked
        connection.execute(update(Quiet).values(due_at=APPLIED + 30 * DAY))
    chime(quiet, APPLIED + 30 * DAY)
    assert silent(quiet) == [("fan-1", APPLIED + 30 * DAY)]


def test_a_silence_that_comes_to_light_too_late_is_told_and_not_acted_on(store, creator):
    rule(store, expires_after="2d")
    happened(store, "fan-1", APPLIED)
    happened(store, "fan-2", APPLIED + 3 * DAY)
    told = chime(store, APPLIED + 33 * DAY)
    assert silent(store) == [("fan-2", APPLIED + 33 * DAY)]
    assert "1 silences" in told[0]
    with store.worker() as connection:
        assert connection.execute(select(Occasion.state, Occasion.times)).all() == [("missed", 1)]


def test_imported_history_counts_before_the_rule_and_after(store, creator, settings):
    def imported(lake, fan, at, batch):
        lake.execute(
            "insert into lake.raw.events (creator_id, event_id, name, fan_id, platform,"
            " occurred_at, source, arrival) values ('maya', ?, 'opened', ?, 'email', ?,"
            " 'import:x', ?)",
            [f"{fan}-{batch}", fan, at, batch],
        )
        lake.execute("delete from lake.raw.cursors where name = 'arrival'")
        lake.execute("insert into lake.raw.cursors values ('arrival', ?, 0)", [batch])

    with lakes.connect(settings) as lake:
        imported(lake, "fan-1", APPLIED - DAY, 1)
        rule(store)
        chime(store, APPLIED, lake)
        imported(lake, "fan-1", APPLIED + 3 * DAY, 2)
        imported(lake, "fan-2", APPLIED + DAY, 3)
        chime(store, APPLIED + 32 * DAY, lake)
        assert silent(store) == [("fan-2", APPLIED + 31 * DAY)]
        chime(store, APPLIED + 33 * DAY, lake)
    assert silent(store)[1:] == [("fan-1", APPLIED + 33 * DAY)]


def test_a_lake_that_stands_where_it_stood_is_not_looked_into(
    store, creator, settings, monkeypatch
):
    looks = []
    arrival = silences._arrival
    monkeypatch.setattr(silences, "_arrival", lambda lake: looks.append(1) or arrival(lake))
    with lakes.connect(settings) as lake:
        chime(store, APPLIED, lake)
        assert not looks  # no rule waits for a silence
        rule(store)
        chime(store, APPLIED, lake)
        looks.clear()
        chime(store, APPLIED + DAY, lake)
        assert not looks
        lake.execute("insert into lake.raw.cursors values ('arrival', 1, 0)")
        chime(store, APPLIED + DAY, lake)
        assert looks

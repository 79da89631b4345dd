"""Segments over a real lake and a real store: who is in, who came, who left, and when."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import insert, text

from huntaze_pipeline.audience import export, segments
from huntaze_pipeline.errors import MessageError, RuleError
from huntaze_pipeline.rulebook import live, loader, registry
from huntaze_pipeline.rulebook.live import LiveSegment
from huntaze_pipeline.rulebook.schema import Segment
from huntaze_pipeline.rulebook.selection import selections
from huntaze_pipeline.store.planning import Segment as Row
from huntaze_pipeline.warehouse import lake as room

RULES = Path(__file__).parents[3] / "rules"
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
COLUMNS = """creator_id VARCHAR, fan_id VARCHAR, name VARCHAR, zone VARCHAR, locale VARCHAR,
    birthday DATE, subscribed_at TIMESTAMPTZ, unsubscribed_at TIMESTAMPTZ, lifetime_spend DOUBLE,
    purchases BIGINT, tips BIGINT, first_purchase_at TIMESTAMPTZ, last_purchase_at TIMESTAMPTZ,
    last_active_at TIMESTAMPTZ, messages_received BIGINT, messages_opened BIGINT,
    messages_clicked BIGINT, last_opened_at TIMESTAMPTZ, last_clicked_at TIMESTAMPTZ"""


@pytest.fixture
def lake(settings, creator):
    with room.connect(settings) as con:
        con.execute(f"create or replace table lake.marts.fan_facts ({COLUMNS})")
        for fan, spend, days in (("fan-1", 5000, 3), ("fan-2", 5000, 90), ("fan-3", 10, 40)):
            con.execute(
                "insert into lake.marts.fan_facts (creator_id, fan_id, lifetime_spend, purchases,"
                " last_purchase_at, messages_clicked) values ('maya', ?, ?, 20, ?, 0)",
                [fan, spend, NOON - timedelta(days=days)],
            )
        yield con


def rule(**data):
    return Segment.model_validate({"name": "x", **data})


def refresh(store, lake, rules, now=NOON):
    found = [LiveSegment("maya", name, rule_) for name, rule_ in rules.items()]
    with store.worker() as c:
        for item in found:
            values = {"creator_id": "maya", "id": item.id, "name": "x", "criteria": {}}
            row = insert(Row).values(values | {"rule_hash": ""})
            if not c.execute(
                text("select 1 from segments where id = :id"), {"id": item.id}
            ).first():
                c.execute(row)
        refreshed = segments.refresh(c, lake, selections(found, now), now)
    refreshed.settle(lake)
    return {d.segment_id: d for d in refreshed.deltas}


def test_who_is_in_came_and_left_is_kept_and_any_moment_can_be_asked(store, lake):
    rules = {"recent": rule(where="days_since(fan.last_purchase_at) <= 7")}
    first = refresh(store, lake, rules)["recent"]
    assert (first.entered, first.left, first.size) == (["fan-1"], [], 1)
    later = NOON + timedelta(days=5)  # time alone moves a fan out, without any event
    second = refresh(store, lake, rules, later)["recent"]
    assert (second.entered, second.left, second.size) == ([], ["fan-1"], 0)
    with store.tenant("maya") as c:
        assert segments.members(c, "maya", "recent") == []
        assert segments.members(c, "maya", "recent", later - timedelta(hours=1)) == ["fan-1"]
        assert segments.members(c, "maya", "recent", NOON - timedelta(hours=1)) == []


def test_a_refresh_that_repeats_changes_nothing(store, lake):
    rules = {"all": rule(where="fan.purchases > 0")}
    assert refresh(store, lake, rules)["all"].size == 3
    again = refresh(store, lake, rules)["all"]
    assert (again.entered, again.left, again.size) == ([], [], 3)


def test_a_fan_who_comes_back_has_two_stays(store, lake):
    rules = {"recent": rule(where="days_since(fan.last_purchase_at) <= 7")}
    refresh(store, lake, rules)
    refresh(store, lake, rules, NOON + timedelta(days=5))
    back = NOON + timedelta(days=6)
    lake.execute("update lake.marts.fan_facts set last_purchase_at = ?", [back])
    assert refresh(store, lake, rules, back)["recent"].entered == ["fan-1", "fan-2", "fan-3"]
    with store.worker() as c:
        stays = c.scalar(text("select count(*) from members where fan_id = 'fan-1'"))
    assert stays == 2


def test_segments_are_built_from_segments_and_lists(store, lake):
    rules = {
        "big": rule(where="fan.lifetime_spend > 1000"),
        "listed": rule(fans=["fan-2", "fan-3", "it's nobody"]),
        "both": rule(where="in_segment('big') and in_segment('listed')"),
        "neither": rule(where="not (in_segment('big') or in_segment('listed'))"),
    }
    deltas = refresh(store, lake, rules)
    assert {name: d.entered for name, d in deltas.items()} == {
        "big": ["fan-1", "fan-2"], "listed": ["fan-2", "fan-3"], "both": ["fan-2"], "neither": [],
    }  # fmt: skip


def test_a_circle_is_refused_and_not_followed():
    circle = [
        LiveSegment("maya", "a", rule(where="in_segment('b')")),
        LiveSegment("maya", "b", rule(where="in_segment('a')")),
    ]
    with pytest.raises(RuleError, match="a -> b -> a"):
        selections(circle, NOON)


def test_the_segments_that_ship_are_evaluated_as_one_query(store, lake, creator):
    rulebook = loader.load(RULES)
    with store.worker() as c:
        registry.apply(c, creator, rulebook, NOON)
        found = selections(live.segments(c, [creator]), NOON)
        refreshed = segments.refresh(c, lake, found, NOON)
    deltas = {d.segment_id: d.entered for d in refreshed.deltas}
    assert deltas["vip"] == ["fan-1"]
    assert deltas["lapsed"] == ["fan-2"]
    assert deltas["at_risk"] == ["fan-3"]
    assert set(deltas) == set(rulebook.segments)


def test_deltas_become_events_with_stable_ids(store, lake):
    rules = {"recent": rule(where="days_since(fan.last_purchase_at) <= 7")}
    deltas = refresh(store, lake, rules).values()
    (event,) = segments.published(deltas, NOON)
    assert (event.name, event.fan_id) == ("entered_segment", "fan-1")
    assert event.properties == {"segment": "recent"}
    assert event.event_id == segments.published(deltas, NOON)[0].event_id


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_segment_is_exported_with_the_columns_that_were_asked_for(store, lake, tmp_path, suffix):
    refresh(store, lake, {"big": rule(where="fan.lifetime_spend > 1000")})
    path = tmp_path / f"big{suffix}"
    with store.tenant("maya") as c:
        assert export.export(c, "maya", "big", path, ["fan_id", "email"]) == 2
    read = pl.read_csv(path) if suffix == ".csv" else pl.read_parquet(path)
    assert read.rows() == [("fan-1", "fan-1@example.com"), ("fan-2", "fan-2@example.com")]
    assert list(tmp_path.iterdir()) == [path] or not list(tmp_path.glob(".*.part"))


def test_an_export_never_writes_a_formula_and_names_unknown_columns(store, lake, tmp_path):
    refresh(store, lake, {"big": rule(where="fan.lifetime_spend > 1000")})
    with store.worker() as c:
        c.execute(text("update fans set name = '=HYPERLINK(1)'"))
        export.export(c, "maya", "big", tmp_path / "x.csv", ["name"])
        with pytest.raises(MessageError, match=r"columns\.secret"):
            export.export(c, "maya", "big", tmp_path / "y.csv", ["secret"])
    assert "'=HYPERLINK" in (tmp_path / "x.csv").read_text()

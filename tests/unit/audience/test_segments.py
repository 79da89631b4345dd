"""Segments over a real lake and a real store: who is in, who came, who left, and when."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import insert, text

from huntaze_pipeline.audience import export, history, preview, segments
from huntaze_pipeline.errors import MessageError, RuleError
from huntaze_pipeline.orchestration import ticks
from huntaze_pipeline.rulebook import live, loader, registry
from huntaze_pipeline.rulebook.fields import Type
from huntaze_pipeline.rulebook.language import FUNCTIONS, Function
from huntaze_pipeline.rulebook.live import LiveSegment
from huntaze_pipeline.rulebook.schema import Segment
from huntaze_pipeline.rulebook.selection import selections
from huntaze_pipeline.store.segments import Segment as Row
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


@pytest.mark.slow
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


@pytest.fixture
def live_rows(store, creator):
    """Writes segments as an older version of the checks would have let them be live."""

    def write(**wheres):
        with store.worker() as c:
            for name, where in wheres.items():
                values = {"id": name, "criteria": json.dumps({"where": where}), "hash": where}
                c.execute(_LIVE, values)

    return write


_LIVE = text(
    "insert into segments (creator_id, id, name, criteria, rule_hash)"
    " values ('maya', :id, :id, cast(:criteria as jsonb), :hash)"
    " on conflict (creator_id, id) do update set criteria = excluded.criteria,"
    " rule_hash = excluded.rule_hash"
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "told"),
    [("fan.purchases < 1e400", "no number here"), ("unforeseen(fan.purchases) > 1", "cannot be")],
)
def test_a_segment_that_cannot_be_evaluated_keeps_its_members_and_stops_no_other(
    store, lake, live_rows, monkeypatch, wrong, told
):
    bad = Function((Type.NUMBER,), Type.NUMBER, "abs({0}, 'no')")
    monkeypatch.setitem(FUNCTIONS, "unforeseen", bad)
    live_rows(big="fan.lifetime_spend > 1000", near="in_segment('big')", all="fan.purchases > 0")
    ticks.refresh(store, lake, NOON)
    live_rows(big=wrong, all="fan.purchases > 0 and fan.lifetime_spend < 1000")
    for hour in (1, 2):
        said = []
        deltas = ticks.refresh(store, lake, NOON + timedelta(hours=hour), tell=said.append)
        assert {d.segment_id: d.size for d in deltas} == {"all": 1}
        assert [sentence.split(" keeps")[0] for sentence in said] == [
            "segment maya/big", "segment maya/near",
        ]  # fmt: skip
        assert all(told in sentence for sentence in said)
    assert _members(store, "near") == _members(store, "big") == ["fan-1", "fan-2"]
    live_rows(big="fan.lifetime_spend < 1000")
    ticks.refresh(store, lake, NOON + timedelta(hours=3))
    assert _members(store, "near") == _members(store, "big") == ["fan-3"]


def _members(store, segment):
    with store.tenant("maya") as c:
        return segments.members(c, "maya", segment)


def test_a_circle_is_refused_and_not_followed():
    circle = [
        LiveSegment("maya", "a", rule(where="in_segment('b')")),
        LiveSegment("maya", "b", rule(where="in_segment('a')")),
    ]
    with pytest.raises(RuleError, match="a -> b -> a"):
        selections(circle, NOON)


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_segment_is_exported_with_the_columns_that_were_asked_for(store, lake, tmp_path, suffix):
    refresh(store, lake, {"big": rule(where="fan.lifetime_spend > 1000")})
    path = tmp_path / f"big{suffix}"
    with store.tenant("maya") as c:
        assert export.export(c, "maya", "big", path, ["fan_id", "email"]) == 2
    read = pl.read_csv(path) if suffix == ".csv" else pl.read_parquet(path)
    assert read.rows() == [("fan-1", "fan-1@example.com"), ("fan-2", "fan-2@example.com")]
    assert list(tmp_path.iterdir()) == [path] or not list(tmp_path.glob(".*.part"))


@pytest.mark.slow
def test_an_export_never_writes_a_formula_and_names_unknown_columns(store, lake, tmp_path):
    refresh(store, lake, {"big": rule(where="fan.lifetime_spend > 1000")})
    with store.worker() as c:
        c.execute(text("update fans set name = '=HYPERLINK(1)'"))
        export.export(c, "maya", "big", tmp_path / "x.csv", ["name"])
        with pytest.raises(MessageError, match=r"columns\.secret"):
            export.export(c, "maya", "big", tmp_path / "y.csv", ["secret"])
    assert "'=HYPERLINK" in (tmp_path / "x.csv").read_text()


@pytest.mark.slow
def test_a_list_that_is_changed_drops_and_takes_its_own_and_keeps_who_joined(store, lake):
    refresh(store, lake, {"listed": rule(fans=["fan-1", "fan-2"])})
    with store.worker() as c:  # as an automation's step does
        moment = {"now": NOON + timedelta(minutes=1)}
        joins = "insert into members (creator_id, segment_id, fan_id, entered_at)"
        c.execute(text(f"{joins} values ('maya', 'listed', 'fan-3', :now)"), moment)
        c.execute(text("update members set left_at = :now where fan_id = 'fan-1'"), moment)
    same = refresh(
        store, lake, {"listed": rule(fans=["fan-1", "fan-2"])}, NOON + timedelta(hours=1)
    )
    assert (same["listed"].entered, same["listed"].left, same["listed"].size) == ([], [], 2)
    with store.worker() as c:
        c.execute(text("update segments set rule_hash = 'next', criteria = '{\"fans\": []}'"))
        c.execute(text('update segment_versions set criteria = \'{"fans": ["fan-1", "fan-2"]}\''))
    changed = refresh(store, lake, {"listed": rule(fans=["fan-1"])}, NOON + timedelta(hours=2))
    assert (changed["listed"].entered, changed["listed"].left) == (["fan-1"], ["fan-2"])
    assert changed["listed"].size == 2


def test_a_changed_definition_takes_the_place_of_the_old_and_both_are_kept(store, lake):
    refresh(store, lake, {"big": rule(where="fan.lifetime_spend > 1000")})
    with store.worker() as c:
        c.execute(text("update segments set rule_hash = 'next'"))
    later = NOON + timedelta(hours=1)
    delta = refresh(store, lake, {"big": rule(where="fan.lifetime_spend < 1000")}, later)["big"]
    assert (delta.entered, delta.left, delta.size) == (["fan-3"], ["fan-1", "fan-2"], 1)
    events = segments.published([delta], later)
    assert {event.properties["cause"] for event in events} == {"definition"}
    with store.tenant("maya") as c:
        versions = history.versions(c, "maya", "big")
        days = history.days(c, "maya", "big")
    assert [(v.live_at, v.rule_hash) for v in versions] == [(NOON, ""), (later, "next")]
    assert [(d.entered, d.left, d.size) for d in days] == [(3, 2, 1)]


def test_a_lake_that_forgot_everything_and_a_clock_that_goes_back_change_nothing_wrongly(
    store, lake
):
    rules = {"recent": rule(where="days_since(fan.last_purchase_at) <= 7")}
    refresh(store, lake, rules)
    lake.execute("delete from lake.audience.standing; delete from lake.audience.marker")
    later = NOON + timedelta(days=5)
    assert refresh(store, lake, rules, later)["recent"].left == ["fan-1"]
    back = refresh(store, lake, rules, NOON)["recent"]
    assert (back.entered, back.size) == (["fan-1"], 1)


def test_a_refresh_whose_answers_were_not_remembered_is_made_good(store, lake):
    found = [LiveSegment("maya", "big", rule(where="fan.lifetime_spend > 1000"))]
    refresh(store, lake, {"big": found[0].rule})
    lake.execute("update lake.marts.fan_facts set lifetime_spend = 0 where fan_id = 'fan-1'")
    with store.worker() as c:  # dies right after the commit
        segments.refresh(c, lake, selections(found, NOON), NOON)
    lake.execute("update lake.marts.fan_facts set lifetime_spend = 2000 where fan_id = 'fan-1'")
    assert refresh(store, lake, {"big": found[0].rule})["big"].entered == ["fan-1"]


def test_a_segment_whose_id_has_a_quote_is_previewed_like_any_other(store, lake):
    found = [LiveSegment("maya", "o'all", rule(where="fan.purchases > 0"))]
    with store.tenant("maya") as c:
        inside = preview.members(c, lake, "maya", selections(found, NOON), NOON)
    assert {name: len(fans) for name, fans in inside.items()} == {"o'all": 3}


def test_a_preview_tells_size_sample_and_overlap_and_writes_nothing(store, lake):
    refresh(store, lake, {"big": rule(where="fan.lifetime_spend > 1000")})
    rules = {
        "big": rule(where="fan.lifetime_spend > 6000 or in_segment('listed')"),
        "listed": rule(fans=["fan-3", "fan-1"]),
        "recent": rule(where="days_since(fan.last_purchase_at) <= 7"),
    }
    found = [LiveSegment("maya", name, rule_) for name, rule_ in rules.items()]
    with store.tenant("maya") as c:
        shown = preview.preview(c, lake, "maya", selections(found, NOON), "big", NOON)
        assert segments.members(c, "maya", "big") == ["fan-1", "fan-2"]
    assert (shown.size, shown.fans, shown.entering, shown.leaving) == (2, 3, 1, 1)
    assert [row["fan_id"] for row in shown.sample] == ["fan-1", "fan-3"]
    shared = [(o.segment_id, o.size, o.shared) for o in shown.overlaps]
    assert shared == [("listed", 2, 2), ("recent", 1, 1)]


def test_facts_can_be_exported_and_the_past_too(store, lake, tmp_path):
    rules = {"recent": rule(where="days_since(fan.last_purchase_at) <= 7")}
    refresh(store, lake, rules)
    refresh(store, lake, rules, NOON + timedelta(days=5))
    path = tmp_path / "x.jsonl"
    columns = ["fan_id", "lifetime_spend", "entered_at"]
    with store.tenant("maya") as c:
        assert export.export(c, "maya", "recent", path, columns, lake=lake) == 0
        past = NOON + timedelta(hours=1)
        assert export.export(c, "maya", "recent", path, columns, past, lake=lake) == 1
    assert pl.read_ndjson(path).row(0)[:2] == ("fan-1", 5000.0)
    assert "2026-03-02" in path.read_text()

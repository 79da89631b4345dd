"""Segments against the real servers: buckets, walls, a swap at once, and a death at any point."""

import multiprocessing
import os
import signal
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from sqlalchemy import text

from huntaze_pipeline.audience import export, segments, standing
from huntaze_pipeline.errors import NotFoundError, WarehouseError
from huntaze_pipeline.orchestration import ticks
from huntaze_pipeline.store.session import Store
from huntaze_pipeline.warehouse import lake as room
from tests.unit.audience.test_segments import COLUMNS

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
_SEGMENT = text(
    "insert into segments (creator_id, id, name, criteria, rule_hash)"
    " values ('maya', 'big', 'Big', cast(:criteria as jsonb), 'a')"
)
_CHANGE = text("update segments set criteria = cast(:criteria as jsonb), rule_hash = 'b'")
BIG = '{"name": "Big", "where": "fan.lifetime_spend > 1000"}'
SMALL = '{"name": "Big", "where": "fan.lifetime_spend < 1000"}'
PLACES = {
    "before the commit": (segments, "published"),
    "between the commit and the lake": (standing, "settle"),
    "in the lake's transaction": (standing, "_note"),
}


@pytest.fixture
def lake(settings, store, creator):
    """Maya's segment of big spenders: fan-1 is in it."""
    with room.connect(settings) as con:
        con.execute(f"create or replace table lake.marts.fan_facts ({COLUMNS})")
        con.execute(
            "insert into lake.marts.fan_facts (creator_id, fan_id, lifetime_spend)"
            " values ('maya', 'fan-1', 5000), ('maya', 'fan-2', 10), ('maya', 'fan-3', 10)"
        )
        with store.worker() as c:
            c.execute(_SEGMENT, {"criteria": BIG})
        ticks.refresh(store, con, NOON)
        yield con


def members(store, at=None):
    with store.tenant("maya") as c:
        return segments.members(c, "maya", "big", at)


def told(store):
    with store.worker() as c:
        query = "select name, fan_id from inbox where name like '%_segment' order by fan_id"
        return [tuple(row) for row in c.execute(text(query))]


@pytest.mark.slow
def test_a_segment_goes_to_a_bucket(store, lake, settings, monkeypatch):
    import boto3

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = boto3.client("s3", endpoint_url=settings.aws_endpoint_url)
    client.create_bucket(Bucket="audiences")
    columns, where = ["fan_id", "email", "lifetime_spend"], settings.aws_endpoint_url
    for suffix, read in (("csv", pl.read_csv), ("parquet", pl.read_parquet)):
        target = f"s3://audiences/march/big.{suffix}"
        with store.tenant("maya") as c:
            count = export.export(c, "maya", "big", target, columns, lake=lake, endpoint_url=where)
        found = client.get_object(Bucket="audiences", Key=f"march/big.{suffix}")["Body"].read()
        assert count == 1
        assert read(found).rows() == [("fan-1", "fan-1@example.com", 5000.0)]
    with store.tenant("maya") as c, pytest.raises(WarehouseError, match="s3://none/x"):
        export.export(c, "maya", "big", "s3://none/x.csv", ["fan_id"], endpoint_url=where)


@pytest.mark.slow
def test_another_creator_sees_nobody_in_it(store, lake, tmp_path):
    with store.worker() as c:
        c.execute(text("insert into creators (id, name) values ('zeta', 'Zeta')"))
    with store.tenant("zeta") as c:
        assert segments.members(c, "maya", "big") == []
        assert export.export(c, "maya", "big", tmp_path / "x.csv", ["fan_id"]) == 0
        with pytest.raises(NotFoundError, match="'big'"):
            segments.require(c, "zeta", "big")


def test_a_stay_that_ends_leaves_earlier_stays_as_they_were(store, lake):
    day = timedelta(days=1)
    before = [(NOON - 3 * day, NOON - 2 * day), (NOON - 2 * day, NOON - day)]
    with store.worker() as c:
        for came, went in before:
            values = {"came": came, "went": went}
            c.execute(
                text(
                    "insert into members (creator_id, segment_id, fan_id, entered_at, left_at)"
                    " values ('maya', 'big', 'fan-1', :came, :went)"
                ),
                values,
            )
    lake.execute("update lake.marts.fan_facts set lifetime_spend = 5000 where fan_id = 'fan-2'")
    lake.execute("update lake.marts.fan_facts set lifetime_spend = 10 where fan_id = 'fan-1'")
    ticks.refresh(store, lake, LATER)
    with store.worker() as c:
        query = "select fan_id, entered_at, left_at from members order by fan_id, entered_at"
        stays = [tuple(row) for row in c.execute(text(query))]
    mine = [("fan-1", *stay) for stay in [*before, (NOON, LATER)]]
    assert stays == [*mine, ("fan-2", LATER, None)]
    assert members(store, NOON) == ["fan-1"]


def test_a_changed_definition_takes_its_place_at_once(store, lake, monkeypatch):
    with store.worker() as c:
        c.execute(_CHANGE, {"criteria": SMALL})
    seen, publish = [], segments.published

    def watch(deltas, now):
        seen.append(members(store))
        return publish(deltas, now)

    monkeypatch.setattr(segments, "published", watch)
    ticks.refresh(store, lake, LATER)
    assert seen == [["fan-1"]]
    assert members(store) == ["fan-2", "fan-3"]
    assert members(store, LATER - timedelta(seconds=1)) == ["fan-1"]


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_a_kill_at_any_point_is_made_good_and_everything_told_once(store, lake, settings, place):
    lake.execute("update lake.marts.fan_facts set lifetime_spend = 5010 - lifetime_spend")
    child = multiprocessing.get_context("spawn").Process(target=_die, args=(settings, place))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    ticks.refresh(store, lake, LATER + timedelta(hours=1))
    ticks.refresh(store, lake, LATER + timedelta(hours=2))
    assert members(store) == ["fan-2", "fan-3"]
    assert told(store) == [
        ("left_segment", "fan-1"), ("entered_segment", "fan-2"), ("entered_segment", "fan-3"),
    ]  # fmt: skip
    lake.execute("update lake.marts.fan_facts set lifetime_spend = 0 where fan_id = 'fan-3'")
    (delta,) = ticks.refresh(store, lake, LATER + timedelta(hours=3))
    assert (delta.entered, delta.left, delta.size) == ([], ["fan-3"], 1)


def _die(settings, place):
    """Refresh until a function is reached, and be killed there."""
    module, name = PLACES[place]
    setattr(module, name, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    with room.connect(settings) as con:
        ticks.refresh(Store(settings, pooled=False), con, LATER)

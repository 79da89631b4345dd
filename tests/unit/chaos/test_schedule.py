"""The storm's schedule: one seed, one storm; every numbered point in turn."""

import pytest

from huntaze_pipeline.local.chaos.points import POINTS
from huntaze_pipeline.local.chaos.run import WORKERS
from huntaze_pipeline.local.chaos.schedule import SERVERS, schedule

NUMBERS = [point.number for point in POINTS]


def test_the_same_seed_is_the_same_storm() -> None:
    assert schedule(7, 120, WORKERS) == schedule(7, 120, WORKERS)


def test_another_seed_is_another_storm() -> None:
    assert schedule(7, 120, WORKERS) != schedule(8, 120, WORKERS)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("seconds", [20, 120])
def test_every_numbered_point_is_visited_in_turn(seed: int, seconds: float) -> None:
    visits = [int(f.target) for f in schedule(seed, seconds, WORKERS) if f.kind == "point"]
    assert visits == NUMBERS


def test_a_longer_storm_visits_every_point_again() -> None:
    visits = [int(f.target) for f in schedule(1, 360, WORKERS) if f.kind == "point"]
    assert visits == NUMBERS * 3


def test_redis_is_emptied_for_the_points_of_a_rebuild() -> None:
    storm = schedule(1, 120, WORKERS)
    rebuilds = {str(p.number) for p in POINTS if p.rebuild}
    for fault in storm:
        if fault.kind == "point" and fault.target in rebuilds:
            assert any(f.kind == "empty" and f.at_s == fault.at_s for f in storm)


@pytest.mark.parametrize("seed", range(20))
def test_nothing_begins_or_lasts_beyond_the_storm(seed: int) -> None:
    for fault in schedule(seed, 60, WORKERS):
        assert 0 <= fault.at_s <= 60
        if fault.kind in ("pause", "cut", "hold", "ahead"):
            assert fault.at_s + fault.lasts_s <= 60


def test_everything_is_hit_in_every_way_sooner_or_later() -> None:
    found = schedule(1, 7200, WORKERS)
    hit = {(f.kind, f.target) for f in found}
    for kind in ("kill", "pause"):
        assert {(kind, name) for name in (*WORKERS, *SERVERS)} <= hit
    for kind in ("cut", "hold"):
        assert {(kind, name) for name in SERVERS} <= hit
    assert {("empty", "redis"), ("behind", "redis")} <= hit
    assert {f.target for f in found if f.kind == "ahead"} == {*WORKERS} - {"caller"}
    assert {f.worker for f in found if f.kind == "cut"} == {*WORKERS, "*"}

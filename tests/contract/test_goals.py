"""Proposed goals on a real lake: what they would change, and that nothing is published."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from duckdb import DuckDBPyConnection

from huntaze_pipeline.errors import WarehouseError
from huntaze_pipeline.measurement import channels
from huntaze_pipeline.settings import Settings, load
from huntaze_pipeline.warehouse import (
    declarations,
    goals,
    lake,
    mirror,
    models,
    proposal,
    runner,
)

NOON = datetime(2026, 3, 6, 12, tzinfo=UTC)
PROJECT = models.load(load().models_dir)
CHAIN = (
    "staging.stg_events", "staging.stg_messages", *proposal.CHAIN, "marts.fct_conversions",
    "marts.fct_channel_credits",
)  # fmt: skip
LIVE = """
goals:
  purchase:
    events: [purchase]
    windows: {default: {clicked: 5d}}
"""
EVENTS = """
    ('maya', 'c1', 'clicked', 'ana', 'spring', null, timestamptz '2026-03-04 12:00:00Z'),
    ('maya', 'c2', 'clicked', 'ana', 'summer', null, timestamptz '2026-03-05 12:00:00Z'),
    ('maya', 'p1', 'purchase', 'ana', null, 1000001, timestamptz '2026-03-06 12:00:00Z'),
    ('maya', 'p2', 'purchase', 'bea', null, 9000000, timestamptz '2026-03-06 12:00:00Z')
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / goals.FILE).write_text(LIVE)
    return folder


@pytest.fixture
def con(settings: Settings, creator: str, rules: Path) -> Iterator[DuckDBPyConnection]:
    with lake.connect(settings) as found:
        found.execute(
            "insert into lake.raw.events (creator_id, event_id, name, fan_id, campaign_id,"
            f" value_micros, occurred_at) values {EVENTS}"
        )
        yield found


def build(con: DuckDBPyConnection, rules: Path) -> None:
    lake.write(con, lambda: mirror.refresh(con, NOON, declarations.load(rules)))
    runner.build(con, PROJECT, CHAIN)


def credits(con: DuckDBPyConnection, declared: goals.Declared) -> dict[str | None, tuple[int, int]]:
    found = proposal.compare(con, PROJECT, declared)
    return {credit.source_id: (credit.old_micros, credit.new_micros) for credit in found}


@pytest.mark.slow
def test_another_model_moves_credit_and_not_the_total(con: DuckDBPyConnection, rules: Path) -> None:
    build(con, rules)
    found = credits(con, goals.declared(rules, model="linear"))

    assert found == {
        "summer": (1_000_001, 500_000), "spring": (0, 500_001), None: (9_000_000, 9_000_000),
    }  # fmt: skip


@pytest.mark.slow
def test_a_comparison_publishes_nothing(
    settings: Settings, con: DuckDBPyConnection, rules: Path
) -> None:
    build(con, rules)
    before = lake.snapshot(con)
    with lake.connect(settings, read_only=True) as reader:
        proposal.compare(reader, PROJECT, goals.declared(rules, model="first"))

    assert lake.snapshot(con) == before


@pytest.mark.slow
def test_an_adopted_window_computes_the_history_anew(con: DuckDBPyConnection, rules: Path) -> None:
    build(con, rules)
    (rules / goals.FILE).write_text(
        LIVE.replace("5d", "36h").replace("purchase]", "purchase]\n    filter: value < 9")
    )
    proposed = credits(con, goals.declared(rules))
    build(con, rules)

    assert proposed == {"summer": (1_000_001, 1_000_001), None: (9_000_000, 0)}
    assert con.execute(
        "select source_id, value_micros from lake.marts.fct_attribution"
    ).fetchall() == [("summer", 1_000_001)]


@pytest.mark.slow
def test_a_comparison_says_whether_the_live_side_lacks_what_came_since(
    con: DuckDBPyConnection, rules: Path
) -> None:
    build(con, rules)
    runner.build(con, PROJECT, ["+marts.fct_attribution"])
    assert not proposal.stale(con, PROJECT)
    con.execute("insert into lake.raw.events (creator_id, event_id, name, fan_id) values"
                " ('maya', 'late', 'purchase', 'ana')")  # fmt: skip

    assert proposal.stale(con, PROJECT)


def test_without_a_build_there_is_nothing_to_compare_with(
    con: DuckDBPyConnection, rules: Path
) -> None:
    with pytest.raises(WarehouseError, match="huntaze models build"):
        proposal.compare(con, PROJECT, goals.declared(rules))


@pytest.mark.slow
def test_every_model_shares_out_the_same_sum_with_what_nobody_earned(
    con: DuckDBPyConnection, rules: Path
) -> None:
    con.execute(
        "insert into lake.raw.events (creator_id, event_id, name, fan_id, campaign_id, occurred_at)"
        " values ('maya', 'c3', 'clicked', 'cleo', 'spring', timestamptz '2026-03-05 12:00:00Z')"
    )
    build(con, rules)
    channels.publish(con)
    assert channels.publish(con) == 4
    rows = con.execute(
        "select model, sum(value_micros), sum(conversions), count(*) filter (source is null)"
        " from lake.marts.fct_channel_credits group by 1 order by 1"
    ).fetchall()
    assert "| campaign spring | 1.0000 | 0.50 |" in channels.summary(con)
    models = ["first", "last", "linear", "markov", "position", "shapley", "time_decay"]
    assert rows == [(model, 10_000_001, 2.0, 1) for model in models]
    found = con.execute(
        "select model, source_id, value_micros, effect, influenced"
        " from lake.marts.fct_channel_credits"
        " where model in ('markov', 'shapley') and source is not null order by 1, 2"
    ).fetchall()
    assert found == [
        ("markov", "spring", 500_001, pytest.approx(1.0), 1),
        ("markov", "summer", 500_000, pytest.approx(1.0), 1),
        ("shapley", "spring", 500_001, 0.5, 1),
        ("shapley", "summer", 500_000, 0.5, 1),
    ]


@pytest.mark.slow
def test_without_a_goal_reached_there_are_no_channel_credits(
    con: DuckDBPyConnection, rules: Path
) -> None:
    con.execute("delete from lake.raw.events where name = 'purchase'")
    build(con, rules)
    channels.publish(con)
    assert con.execute("from lake.marts.fct_channel_credits").fetchall() == []


LATE = """
    ('maya', 'c0', 'clicked', 'bea', 'spring', null, timestamptz '2026-03-02 12:00:00Z'),
    ('maya', 'c9', 'clicked', 'ana', 'winter', null, timestamptz '2026-03-06 12:00:00Z'),
    ('maya', 'p3', 'purchase', 'ana', null, 70, timestamptz '2026-03-10 23:00:00Z'),
    ('maya', 'p0', 'purchase', 'ana', null, 7, timestamptz '2026-01-01 12:00:00Z')
"""


@pytest.mark.slow
def test_late_touches_and_goals_end_where_building_anew_does(
    con: DuckDBPyConnection, rules: Path
) -> None:
    build(con, rules)
    con.execute(
        "insert into lake.raw.events (creator_id, event_id, name, fan_id, campaign_id,"
        f" value_micros, occurred_at) values {LATE}"
    )
    build(con, rules)
    for name in (*proposal.CHAIN, "marts.fct_conversions"):
        whole = con.execute(f"{PROJECT.model(name).sql} order by all").fetchall()
        assert con.execute(f"from lake.{name} order by all").fetchall() == whole
    assert con.execute(
        "select conversion_id, source_id from lake.marts.fct_attribution order by 1"
    ).fetchall() == [("p0", None), ("p1", "winter"), ("p2", "spring"), ("p3", "winter")]

"""The mart's facts and the rules' facts are two texts of one declaration: never may they differ."""

from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huntaze_pipeline.events.envelope import NAMES
from huntaze_pipeline.rulebook import facts
from huntaze_pipeline.settings import load
from huntaze_pipeline.warehouse import lake, models, raw

PROJECT = models.load(load().models_dir)
START = datetime(2026, 3, 1, tzinfo=UTC)

event = st.fixed_dictionaries(
    {
        "name": st.sampled_from(sorted(NAMES)),
        "fan_id": st.sampled_from(["f1", "f2", "f3"]),
        "message_id": st.sampled_from([None, "m1", "m2"]),
        "campaign_id": st.sampled_from([None, "c1", "c2"]),
        "value_micros": st.sampled_from([None, 0, 1, 999_999, 12_340_000]),
        "minutes": st.integers(0, 100_000),
    }
)


def world(events: list[dict[str, Any]]) -> duckdb.DuckDBPyConnection:
    """Give a lake in memory whose raw.events hold these events, and the mart built from them."""
    con = lake.engine()
    con.execute("attach ':memory:' as lake")
    for schema in lake.SCHEMAS:
        con.execute(f"create schema lake.{schema}")
    for table, columns in raw.TABLES.items():
        declared = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        con.execute(f"create table lake.raw.{table} ({declared})")
    con.execute("insert into lake.raw.clock values ('2027-01-01 00:00:00+00')")
    for number, told in enumerate(events):
        con.execute(
            "insert into lake.raw.events (creator_id, event_id, name, fan_id, message_id,"
            " campaign_id, value_micros, currency, occurred_at, received_at, source, arrival)"
            " values ('maya', ?, ?, ?, ?, ?, ?, 'USD', ?, ?, 'api', 1)",
            [
                f"e{number}", told["name"], told["fan_id"], told["message_id"],
                told["campaign_id"], told["value_micros"],
                START + timedelta(minutes=told["minutes"]), START,
            ],
        )  # fmt: skip
    for model in PROJECT.select(["+marts.fan_facts"]):
        con.execute(f"create or replace table lake.{model.name} as {model.sql}")
    return con


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.lists(event, max_size=25))
def test_the_mart_says_of_every_fan_what_the_rules_would_say(events: list[dict[str, Any]]) -> None:
    names = ", ".join(f"cast({fact.name} as varchar)" for fact in facts.FACTS)
    plain = ", ".join(
        f"cast(cast({fact.name} as double) as varchar)"
        if fact.kind in ("sum", "count", "distinct")
        else f"cast({fact.name} as varchar)"
        for fact in facts.FACTS
    )
    con = world(events)
    con.execute(f"create temp table state as {facts.state('lake.raw.events')}")
    mart = con.execute(f"select fan_id, {plain} from lake.marts.fan_facts order by 1").fetchall()
    rules = con.execute(
        f"select fan_id, {names} from"
        f" (select s.fan_id, {facts.columns('s')} from state s) order by 1"
    ).fetchall()
    con.close()

    assert mart == rules

"""Facts followed in Python are those that the database adds up."""

from datetime import UTC, datetime, timedelta

import duckdb
import polars as pl
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from huntaze_pipeline.rulebook import along, facts

START = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ["purchase", "tip", "sent", "opened", "clicked", "subscribed", "unsubscribed", "bounced"]
SCHEMA = {
    "creator_id": pl.String, "fan_id": pl.String, "name": pl.String, "value_micros": pl.Int64,
    "occurred_at": pl.Datetime("us", "UTC"), "message_id": pl.String, "campaign_id": pl.String,
    "position": pl.Int64,
}  # fmt: skip
EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "creator_id": st.sampled_from(["maya", "noah"]),
            "fan_id": st.sampled_from(["a", "b"]),
            "name": st.sampled_from(NAMES),
            "value_micros": st.one_of(st.none(), st.integers(-(10**9), 10**12)),
            "occurred_at": st.integers(-(10**6), 10**6).map(lambda s: START + timedelta(seconds=s)),
            "message_id": st.sampled_from([None, "m1", "m2", "m3"]),
            "campaign_id": st.sampled_from([None, "c1"]),
        }
    ),
    max_size=25,
)


@pytest.fixture(scope="module")
def con():
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("set TimeZone = 'UTC'")
        yield connection


def frame(events):
    return pl.DataFrame([{**e, "position": i} for i, e in enumerate(events)], schema=SCHEMA)


@settings(max_examples=examples(50), deadline=None)
@given(EVENTS, st.integers(0, 25), st.sets(st.sampled_from(facts.NAMES), min_size=1), st.booleans())
def test_each_event_sees_what_the_database_would_have_added_up(con, events, cut, names, moving):
    before, batch = frame(events[:cut]), frame(events[cut:])
    con.register("before", before.to_arrow())
    con.register("batch", batch.to_arrow())
    moved = facts.moved(batch["name"].to_list()) if moving else frozenset()
    asked = [name for name in facts.NAMES if name in names]
    state = con.execute(facts.state("before")).pl()
    running = facts.running(f"({facts.state('before')})", "batch", names, moved)
    told = con.execute(f"SELECT {', '.join(asked)} FROM ({running}) ORDER BY position").pl()

    states = batch.join(state, on=along.KEY, how="left", maintain_order="left")
    followed = along.fields(batch, states, names, moved)
    assert followed.columns == asked
    assert followed.rows() == told.rows()


def test_money_is_rounded_once_as_the_database_rounds_it(con):
    worth = [12_766_035, 1, 999_999_999_999, 4_999_999]
    events = frame(
        [
            {"creator_id": "maya", "fan_id": f"f{i}", "name": "purchase", "value_micros": micros,
             "occurred_at": START, "message_id": None, "campaign_id": None}
            for i, micros in enumerate(worth)
        ]
    )  # fmt: skip
    state = con.register("none", frame([]).to_arrow()).execute(facts.state("none")).pl()
    states = events.join(state, on=along.KEY, how="left", maintain_order="left")

    told = along.fields(events, states, ["lifetime_spend"], ["lifetime_spend"])

    assert told["lifetime_spend"].to_list() == [micros / 1e6 for micros in worth]

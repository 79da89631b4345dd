"""State, merge and running fields are three roads to the same answer."""

from datetime import UTC, datetime, timedelta

import duckdb
import polars as pl
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from huntaze_pipeline.rulebook import facts

START = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ["purchase", "tip", "sent", "opened", "clicked", "subscribed", "unsubscribed", "bounced"]
EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "creator_id": st.just("maya"),
            "fan_id": st.sampled_from(["a", "b", "c"]),
            "name": st.sampled_from(NAMES),
            "value_micros": st.one_of(st.none(), st.integers(0, 10**9)),
            "occurred_at": st.integers(0, 10**6).map(lambda s: START + timedelta(seconds=s)),
            "message_id": st.sampled_from([None, "m1", "m2"]),
            "campaign_id": st.sampled_from([None, "c1"]),
        }
    ),
    max_size=25,
)
SCHEMA = {
    "creator_id": pl.String, "fan_id": pl.String, "name": pl.String, "value_micros": pl.Int64,
    "occurred_at": pl.Datetime("us", "UTC"), "message_id": pl.String, "campaign_id": pl.String,
    "position": pl.Int64,
}  # fmt: skip
SORTED = "ORDER BY creator_id, fan_id"


@pytest.fixture(scope="module")
def con():
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("set TimeZone = 'UTC'")
        yield connection


def relation(con, name, events):
    rows = [{**event, "position": i} for i, event in enumerate(events)]
    con.register(f"{name}_frame", pl.DataFrame(rows, schema=SCHEMA).to_arrow())
    con.execute(f"create or replace temp view {name} as select * from {name}_frame")
    return name


def rows(con, query):
    return con.execute(f"SELECT * FROM ({query}) {SORTED}").fetchall()


@settings(max_examples=examples(40), deadline=None)
@given(EVENTS, st.integers(0, 25))
def test_the_state_of_all_events_is_the_merge_of_the_states_of_any_two_parts(con, events, cut):
    everything, left, right = (
        relation(con, name, part)
        for name, part in (("e_all", events), ("e_a", events[:cut]), ("e_b", events[cut:]))
    )
    merged = facts.merge(f"({facts.state(left)})", f"({facts.state(right)})")
    assert rows(con, merged) == rows(con, facts.state(everything))


@settings(max_examples=examples(25), deadline=None)
@given(EVENTS, st.integers(0, 25))
def test_the_fields_at_each_event_are_those_of_all_events_up_to_it(con, events, cut):
    before, batch = relation(con, "e_a", events[:cut]), relation(con, "e_b", events[cut:])
    query = facts.running(f"({facts.state(before)})", batch)
    seen = {row[2]: row[:2] + row[3:] for row in con.execute(query).fetchall()}
    for position, event in enumerate(events[cut:]):
        upto = relation(con, "e_upto", events[: cut + position + 1])
        one = (
            f"SELECT creator_id, fan_id, {facts.columns('s')} FROM ({facts.state(upto)}) AS s"
            f" WHERE fan_id = '{event['fan_id']}'"
        )
        assert [seen[position]] == con.execute(one).fetchall()


@settings(max_examples=examples(25), deadline=None)
@given(EVENTS, st.integers(0, 25), st.sets(st.sampled_from(facts.NAMES), min_size=1))
def test_a_few_facts_and_only_those_that_move_come_out_as_among_all(con, events, cut, names):
    before, batch = relation(con, "e_a", events[:cut]), relation(con, "e_b", events[cut:])
    state = f"({facts.state(before)})"
    moved = facts.moved(event["name"] for event in events[cut:])
    asked = ", ".join(name for name in facts.NAMES if name in names)
    few = facts.running(state, batch, names, moved)
    whole, part = (
        f"SELECT position, {asked} FROM ({query}) ORDER BY position"
        for query in (facts.running(state, batch), few)
    )
    assert con.execute(part).fetchall() == con.execute(whole).fetchall()


@settings(max_examples=examples(25), deadline=None)
@given(EVENTS)
def test_the_past_as_of_each_event_is_what_live_knew_at_it(con, events):
    batch = relation(con, "e_b", events)
    nobody = f"(SELECT * FROM ({facts.state(batch)}) WHERE false)"
    live = (
        "SELECT * EXCLUDE (creator_id, fan_id)"
        f" FROM ({facts.running(nobody, batch)}) ORDER BY position"
    )
    story = "(SELECT *, TIMESTAMPTZ '2026-01-01' AS seen_at, position AS tie FROM e_b)"
    names = [fact.name for fact in facts.FACTS]
    asked = f"(SELECT creator_id, fan_id, position, seen_at, tie FROM {story})"
    past = f"SELECT * FROM ({facts.as_of(story, asked, names)}) ORDER BY position"
    assert con.execute(past).fetchall() == con.execute(live).fetchall()


def test_a_click_counts_as_an_open_and_a_delivery_once_per_message(con):
    clicks = [{"name": n, "message_id": "m1"} for n in ("sent", "clicked", "clicked", "opened")]
    base = {"creator_id": "maya", "fan_id": "a", "occurred_at": START, "campaign_id": None}
    events = relation(con, "e_click", [{**base, "value_micros": None, **c} for c in clicks])
    query = f"SELECT {facts.columns('s')} FROM ({facts.state(events)}) AS s"
    fan = con.execute(query).pl().row(0, named=True)
    assert [fan[f"messages_{k}"] for k in ("received", "opened", "clicked")] == [1, 1, 1]


def test_money_is_exact_in_micros_and_shown_in_units(con):
    base = {"creator_id": "maya", "fan_id": "a", "occurred_at": START, "campaign_id": None}
    pay = [("purchase", 100_000), ("tip", 200_000), ("sent", 5_000_000)]
    sums = [{**base, "message_id": None, "name": n, "value_micros": v} for n, v in pay]
    query = f"SELECT {facts.columns('s')} FROM ({facts.state(relation(con, 'e_m', sums))}) AS s"
    assert con.execute(query).pl().row(0, named=True)["lifetime_spend"] == 0.3

"""Behaviour: what a fan did, as SQL and as a plain evaluator that looks at each event."""

from datetime import UTC, datetime, timedelta

import duckdb
import polars as pl
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Oracle

from huntaze_pipeline.rulebook import behaviour
from huntaze_pipeline.rulebook.behaviour import Feature
from huntaze_pipeline.rulebook.conditions import ConditionFaults, parse

NOW = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)  # the night when Europe loses an hour
DAY = timedelta(days=1)
PROPERTIES = [
    "{}", '{"sku": "x", "n": 2}', '{"n": "0.1"}', '{"n": 1e13}', '{"n": "many"}',
    '{"n": 0.0000005}', '{"template": "poll", "n": -7.25}', '{"sku": true}',
]  # fmt: skip
EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "fan_id": st.sampled_from(["a", "b"]),
            "name": st.sampled_from(["purchase", "tip", "sent", "custom:quiz"]),
            "platform": st.sampled_from([None, "email", "onlyfans"]),
            "value_micros": st.sampled_from([None, 0, 1, 19_999_999, 20_000_001, 10**15]),
            "currency": st.sampled_from([None, "USD"]),
            "occurred_at": st.sampled_from(
                [NOW, NOW + DAY, NOW - 30 * DAY, NOW - 30 * DAY - timedelta(microseconds=1)]
            )
            | st.integers(0, 60 * 24).map(lambda h: NOW - timedelta(hours=h)),
            "properties": st.sampled_from(PROPERTIES),
        }
    ),
    max_size=14,
)
ASKERS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 14), st.integers(0, 40)), max_size=4
)
SCHEMA = {
    "position": pl.Int64, "creator_id": pl.String, "event_id": pl.String, "fan_id": pl.String,
    "name": pl.String, "platform": pl.String, "account_id": pl.String, "campaign_id": pl.String,
    "message_id": pl.String, "value_micros": pl.Int64, "currency": pl.String,
    "occurred_at": pl.Datetime("us", "UTC"), "properties": pl.String,
}  # fmt: skip
WITHIN = st.sampled_from(["", ", within => '30d'", ", within => '90m'", ", within => '1w'"])
WHERE = st.sampled_from(
    [
        "", ", where => amount > 20", ", where => value <= 20 or platform = 'email'",
        ", where => properties.n >= 2", ", where => not (properties.sku = 'x')",
        ", where => currency is null and contains(lower(platform), 'mail')",
        ", where => occurred_at >= '2026-03-01T00:00:00Z'", ", where => platform in ('email', 'x')",
        ", where => coalesce(number(properties.n), 1) between 0 and 1",
    ]
)  # fmt: skip
NAME = st.sampled_from(["purchase", "tip", "custom:quiz"])
SIGN = st.sampled_from(["=", "<>", "<", ">="])
FIELD = st.sampled_from(["value", "amount", "properties.n"])
CALL = st.one_of(
    st.builds(
        lambda n, w, c, k: f"performed('{n}'{w}{c}, at_least => {k})",
        NAME, WITHIN, WHERE, st.integers(1, 3),
    ),
    st.builds(lambda w: f"received('poll'{w})", WITHIN),
    st.builds(
        lambda n, w, c, s, k: f"count('{n}'{w}{c}) {s} {k}",
        NAME, WITHIN, WHERE, SIGN, st.integers(0, 3),
    ),
    st.builds(
        lambda a, n, f, w, c, s, k: f"{a}('{n}', {f}{w}{c}) {s} {k}",
        st.sampled_from(["sum", "avg", "min", "max"]), NAME, FIELD, WITHIN, WHERE, SIGN,
        st.sampled_from(["0", "20", "0.1", "-7.25", "0.000001"]),
    ),
    st.builds(
        lambda a, n, w, c: f"days_since({a}('{n}'{w}{c})) >= 14",
        st.sampled_from(["first", "last"]), NAME, WITHIN, WHERE,
    ),
    st.builds(
        lambda a, n, w: f"{a}('{n}', platform{w}) = 'email'",
        st.sampled_from(["first", "last"]), NAME, WITHIN,
    ),
    st.builds(lambda n, w: f"last('{n}', properties.n{w}) > 1", NAME, WITHIN),
    st.builds(lambda n, w: f"avg('{n}', value{w}) is null", NAME, WITHIN),
)  # fmt: skip
TEXT = st.one_of(
    CALL,
    st.builds(lambda a, o, b: f"({a}) {o} ({b})", CALL, st.sampled_from(["and", "or"]), CALL),
    st.builds(lambda a: f"not ({a})", CALL),
)


@pytest.fixture(scope="module")
def con():
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("set TimeZone = 'Europe/Paris'")  # nothing may depend on it
        yield connection


def told(events):
    base = {"creator_id": "maya", "account_id": None, "campaign_id": None, "message_id": None}
    return [{**base, **e, "event_id": f"e{i}", "position": i} for i, e in enumerate(events)]


def answers(con, condition, events, askers, **options):
    asked = [{"creator_id": "maya", "fan_id": f, "position": p, "moment": m} for f, p, m in askers]
    types = {"creator_id": pl.String, "fan_id": pl.String, "position": pl.Int64}
    frame = pl.DataFrame(asked, schema={**types, "moment": pl.Datetime("us", "UTC")})
    con.register("events", pl.DataFrame(events, schema=SCHEMA).to_arrow())
    con.register("askers", frame.with_row_index("nr").to_arrow())
    query = behaviour.columns(condition.features, "events", "askers", **options)
    sql = condition.sql("askers.moment")
    rows = con.execute(
        f"SELECT {sql} FROM askers LEFT JOIN ({query}) AS fan USING (creator_id, fan_id, position)"
        " ORDER BY nr"
    ).fetchall()
    return [row[0] for row in rows]


@settings(max_examples=examples(200), deadline=None)
@given(TEXT, EVENTS, ASKERS)
def test_behaviour_in_sql_and_event_by_event_give_the_same_answer(con, text, events, askers):
    events = told(events)
    asked = list({(f, p): (f, p, NOW - days * DAY) for f, p, days in askers}.values())
    condition = parse(text)
    expected = [
        Oracle(
            {"id": fan},
            [e for e in events if e["fan_id"] == fan and e["position"] <= position],
            moment,
        ).value(condition.node)
        is True
        for fan, position, moment in asked
    ]
    assert answers(con, condition, events, asked) == expected


@settings(max_examples=25, deadline=None)
@given(TEXT, EVENTS)
def test_the_order_of_arrival_changes_nothing_when_all_of_it_is_known(con, text, events):
    condition, askers = parse(text), [(fan, 0, NOW) for fan in "abc"]
    there = told(events)
    back = list(reversed(there))
    assert answers(con, condition, there, askers, ordered=False) == answers(
        con, condition, back, askers, ordered=False
    )


def test_a_fan_without_events_counts_zero_and_has_no_average(con):
    for text, answer in [
        ("count('purchase') = 0", True), ("sum('purchase', value) < 10", True),
        ("avg('purchase', value) < 10", False), ("last('purchase') is null", True),
        ("not performed('purchase')", True),
    ]:  # fmt: skip
        assert answers(con, parse(text), [], [("a", 0, NOW)]) == [answer], text


def test_the_same_question_is_one_feature_however_it_is_written():
    text = "performed('tip', within => '7d') and count('tip', WITHIN => '168h') < 9"
    assert parse(text).features == (Feature("tip", "count", within=7 * DAY),)


def test_features_say_how_far_back_they_look():
    week, month = Feature("tip", "count", within=7 * DAY), Feature("tip", "sum", within=30 * DAY)
    assert behaviour.longest([week, month]) == 30 * DAY
    assert behaviour.longest([week, Feature("tip", "first")]) is None
    assert behaviour.longest([]) == timedelta(0)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("performed('purchas')", "did you mean 'purchase'?"),
        ("performed(purchase)", "an event's name in quotes"),
        ("performed()", "an event's name in quotes"),
        ("performed('tip', within => 30)", "a duration in quotes"),
        ("performed('tip', within => '30')", "number with a unit"),
        ("performed('tip', within => '0d')", "longer than nothing"),
        ("performed('tip', within := '3d')", "with an arrow"),
        ("performed('tip', withn => '3d')", "did you mean 'within'?"),
        ("performed('tip', within => '3d', within => '4d')", "given twice"),
        ("performed('tip', at_least => 0)", "whole number from 1"),
        ("performed('tip', at_least => 1.5)", "whole number from 1"),
        ("count('tip', at_least => 2) > 1", "unknown; known: where, within"),
        ("performed('tip', where => amunt > 2)", "did you mean 'amount'?"),
        ("performed('tip', where => event.value > 2)", "did you mean 'value'?"),
        ("performed('tip', where => amount > 'x')", "compares a number with a text"),
        ("performed('tip', where => amount)", "must be true or false"),
        ("performed('tip', where => in_segment('vip'))", "cannot be used inside `where`"),
        ("performed('tip', where => performed('tip'))", "cannot be used inside `where`"),
        ("performed('tip', where => days_since(occurred_at) > 1)", "cannot be used inside"),
        ("performed('tip', where => (select 1) > 0)", "is not part of the condition language"),
        ("sum('tip') > 1", "needs what to look at"),
        ("sum('tip', platform) > 1", "must be a number"),
        ("sum('tip', value, currency) > 1", "2 values by place"),
        ("sum('tip', value * 2) > 1", "looks at one field"),
        ("last('tip') > 5", "compares a time with a number"),
        ("performed('tip') > 2", "compares true or false with a number"),
        ("received('poll', where => value > 1)", "unknown; known: at_least, within"),
        ("count(*) > 1", "an event's name in quotes"),
        ("sum('tip', value) over () > 1", "is not part of the condition language"),
        ("sum('tip', value) filter (where true) > 1", "is not part of the condition language"),
        ("lower(name => fan.name) = 'x'", "by place, not by name"),
    ],
)  # fmt: skip
def test_a_wrong_call_is_told_with_what_would_be_right(text, what):
    with pytest.raises(ConditionFaults) as caught:
        parse(text)
    assert what in str(caught.value)

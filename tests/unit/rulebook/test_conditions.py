"""The condition language: what passes, what does not, and the same answer as a plain evaluator."""

from datetime import UTC, date, datetime, timedelta

import duckdb
import polars as pl
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Oracle

from huntaze_pipeline.rulebook.conditions import ConditionFaults, parse

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MOMENT = f"TIMESTAMPTZ '{NOW.isoformat(sep=' ')}'"


def faults(where, scopes=("fan", "event")):
    with pytest.raises(ConditionFaults) as caught:
        parse(where, scopes)
    return "; ".join(fault.what for fault in caught.value.faults)


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("fan.lifetime_spnd > 1", "did you mean 'fan.lifetime_spend'?"),
        ("lifetime_spend > 1", "did you mean 'fan.lifetime_spend'?"),
        ("days_sinc(fan.created_at) > 1", "did you mean 'days_since'?"),
        ("fan.purchases > 'many'", "compares a number with a text"),
        ("fan.purchases", "must be true or false"),
        ("fan.name = null", "write `is null`"),
        ("fan.last_purchase_at > 'yesterday'", "is no time"),
        ("fan.purchases >", "is no condition"),
        ("days_since(fan.name) > 1", "must be a time"),
        ("has_tag()", "takes 1 value, not 0"),
        ({"any": []}, "at least one condition"),
        ({"field": "fan.purchases", "op": "gtt", "value": 1}, "did you mean 'gt'"),
        ({"field": "fan.purchases", "op": "older_than", "value": 14}, "14"),
        ({"fild": "fan.purchases"}, "needs field, op and value"),
        ("fan.purchases < 1e400", "'1e400' is no number here; a number has at most 308 digits"),
        ("fan.purchases > -1e999", "'1e999' is no number here"),
        ({"field": "fan.purchases", "op": ">", "value": float("nan")}, "nan is no number"),
        ({"field": "fan.purchases", "op": "in", "value": [1, float("-inf")]}, "-inf is no number"),
        ({"field": "fan.purchases", "value": 10**400}, "is no number to compare with"),
        ("performed('tip', at_least => 10000000)", "a whole number from 1, at most 999999"),
        ({"field": "fan.purchases; drop table x", "value": 1}, "is no field"),
    ],
)
def test_a_fault_says_what_is_wrong_and_what_would_be_right(where, told):
    assert told in faults(where)


@pytest.mark.parametrize(
    "where",
    [
        "(select 1) > 0", "fan.purchases in (select 1)", "exists(select 1)", "select true",
        "true; drop table fans", "read_csv('/etc/passwd') = 1", "getenv('HOME') = 'x'",
        "now() > fan.created_at", "current_date > fan.birthday", "random() < 0.5",
        "fan.name::int = 1", "cast(fan.name as int) = 1", "fan.tags[1] = 'a'", "fan.name = $1",
        "case when true then true end", "fan.* is null", "columns('x') is null",
        "fan.creator_id = 'other'", "raw.events = 1", "pragma_version() is null", "x -> true",
        "fan.name like 'a' escape 'b'", "fan.purchases between symmetric 2 and 1",
        "sum(fan.purchases) over () > 1", "not " * 900 + "true", "(" * 3000,
        "1 = 1 -- \n; select 1",
    ],
)  # fmt: skip
def test_nothing_but_the_language_passes(where):
    assert faults(where)


def test_every_fault_of_a_condition_is_told_at_once():
    assert len(faults("fan.a > 1 and fan.b < foo(2) and fan.name = 3").split("; ")) >= 4


def test_a_segment_cannot_ask_about_an_event():
    assert "only fan" in faults("event.value > 1", ("fan",))


def test_texts_cannot_leave_their_quotes():
    hostile = "x' OR '1'='1"
    sql = parse({"field": "fan.name", "op": "eq", "value": hostile}).sql(MOMENT)
    assert "'x'' OR ''1''=''1'" in sql


def test_both_forms_say_the_same():
    tree = {
        "all": [
            {"field": "fan.purchases", "op": ">=", "value": 3},
            {"not": {"field": "fan.locale", "op": "in", "value": ["fr", "es"]}},
        ]
    }
    text = "(fan.purchases >= 3) and (not (fan.locale in ('fr', 'es')))"
    assert parse(tree).sql(MOMENT) == parse(text).sql(MOMENT)


FANS = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["f1", "f2", "f3"]),
        "name": st.sampled_from([None, "Ann", "ann marie", "Ünal", ""]),
        "locale": st.sampled_from([None, "en", "fr"]),
        "purchases": st.sampled_from([None, 0.0, 1.0, 2.5, 1e9]),
        "lifetime_spend": st.sampled_from([None, 0.0, 0.1, 99.99, 100.0]),
        "birthday": st.sampled_from(
            [None, date(2000, 2, 29), date(1990, 3, 2), date(1990, 3, 1), date(1999, 12, 31)]
        ),
        "last_purchase_at": st.sampled_from(
            [None, NOW, NOW - timedelta(days=14), NOW - timedelta(days=14, microseconds=1)]
        ),
        "tags": st.sampled_from([None, [], ["vip"], ["a", "vip"]]),
        "segments": st.sampled_from([[], ["vip"]]),
        "attributes": st.sampled_from([None, "{}", '{"k": "5"}', '{"k": 7}', '{"k": "x"}']),
    }
)
NUMBER = st.sampled_from(
    [
        "fan.purchases", "fan.lifetime_spend", "days_since(fan.last_purchase_at)",
        "hours_since(fan.last_purchase_at)", "length(fan.name)", "bucket(10)", "100", "0", "-1.5",
        "2.5", "days_until_anniversary(fan.birthday)", "coalesce(fan.purchases, 3)",
    ]
)  # fmt: skip
MATH = st.one_of(
    NUMBER,
    st.builds(lambda a, o, b: f"({a} {o} {b})", NUMBER, st.sampled_from("+-*/%"), NUMBER),
)
STRING = st.sampled_from(
    ["fan.name", "fan.locale", "lower(fan.name)", "'ann'", "'en'", "coalesce(fan.locale, 'en')"]
)
SIGN = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])
ATOM = st.one_of(
    st.builds(lambda a, o, b: f"{a} {o} {b}", MATH, SIGN, MATH),
    st.builds(lambda a, o, b: f"{a} {o} {b}", STRING, SIGN, STRING),
    st.builds(lambda a: f"{a} between 0 and 14", MATH),
    st.builds(lambda a: f"{a} in ('ann', 'fr')", STRING),
    st.builds(lambda a: f"{a} is null", st.one_of(MATH, STRING)),
    st.builds(lambda a: f"starts_with({a}, 'a')", STRING),
    st.builds(lambda a: f"contains({a}, 'n')", STRING),
    st.sampled_from(
        [
            "has_tag('vip')", "contains(fan.tags, 'vip')", "in_segment('vip')", "true",
            "fan.attributes.k > 4", "fan.attributes.k = '5'", "fan.attributes.k is null",
            "fan.birthday < '2000-01-01'", "fan.last_purchase_at >= '2026-02-16T12:00:00Z'",
        ]
    ),
)  # fmt: skip
TEXT = st.recursive(
    ATOM,
    lambda inner: st.one_of(
        st.builds(lambda a, o, b: f"({a}) {o} ({b})", inner, st.sampled_from(["and", "or"]), inner),
        st.builds(lambda a: f"not ({a})", inner),
        st.builds(lambda a: f"({a}) is not true", inner),
    ),
    max_leaves=5,
)
SCHEMA = {
    "id": pl.String, "name": pl.String, "locale": pl.String, "purchases": pl.Float64,
    "lifetime_spend": pl.Float64, "birthday": pl.Date,
    "last_purchase_at": pl.Datetime("us", "UTC"), "tags": pl.List(pl.String),
    "segments": pl.List(pl.String), "attributes": pl.String, "creator_id": pl.String,
}  # fmt: skip


@settings(max_examples=examples(150), deadline=None)
@given(TEXT, st.lists(FANS, min_size=1, max_size=4))
def test_sql_and_a_plain_evaluator_give_the_same_answer(text, fans):
    condition = parse(text)
    rows = [{**fan, "creator_id": "maya"} for fan in fans]
    with duckdb.connect(config={"threads": 1}) as con:
        con.execute("set TimeZone = 'UTC'")
        con.register("fan", pl.DataFrame(rows, schema=SCHEMA).to_arrow())
        got = [r[0] for r in con.execute(f"SELECT {condition.sql(MOMENT)} FROM fan").fetchall()]
    assert got == [Oracle(fan, moment=NOW).value(condition.node) is True for fan in rows]

"""`marts.fct_credits` on any touches and values: exact sums, the same credits as from files."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from duckdb import DuckDBPyConnection
from hypothesis import given, settings
from hypothesis import strategies as st

from huntaze_pipeline.measurement import attribution
from huntaze_pipeline.settings import load
from huntaze_pipeline.warehouse import goals, lake, models, raw

PROJECT = models.load(load().models_dir)
MODEL = PROJECT.model("marts.fct_credits")
DAY = datetime(2026, 3, 1, tzinfo=UTC)
WINDOW = 10
TOUCH = st.tuples(st.sampled_from("fg"), st.integers(0, 40))
VALUE = st.one_of(st.integers(-(10**9), 10**9), st.integers(-(2**63) + 1, 2**63 - 1), st.just(0))
GOAL = st.tuples(st.sampled_from("fgh"), st.integers(0, 40), VALUE)


@pytest.fixture(scope="module")
def con():
    with lake.engine() as found:
        found.execute("attach ':memory:' as lake")
        for schema in lake.SCHEMAS:
            found.execute(f"create schema lake.{schema}")
        for name in (*MODEL.refs, *MODEL.sources):
            columns = (
                raw.TABLES[name.removeprefix("raw.")]
                if name.startswith("raw.")
                else {c.name: c.type for c in PROJECT.model(name).columns}
            )
            declared = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
            found.execute(f"create table lake.{name} ({declared})")
        found.execute("insert into lake.raw.windows values ('g', '*', 'clicked', 10 * 86400)")
        found.execute("insert into lake.raw.goals (goal, half_life) values ('g', 7 * 86400)")
        yield found


def at(day: int) -> str:
    return f"timestamptz '{(DAY + timedelta(days=day)).isoformat()}'"


def credited(con: DuckDBPyConnection, touches, reached) -> list[tuple[str, str, str, int]]:
    for table in ("staging.stg_events", "staging.stg_conversions"):
        con.execute(f"delete from lake.{table}")
    for place, (fan, day) in enumerate(touches):
        con.execute(
            "insert into lake.staging.stg_events (creator_id, event_id, name, fan_id, message_key,"
            f" occurred_at) values ('m', 't{place:03}', 'clicked', '{fan}', 'k{place}', {at(day)})"
        )
    for place, (fan, day, value) in enumerate(reached):
        con.execute(
            "insert into lake.staging.stg_conversions (creator_id, goal, event_id, fan_id,"
            f" occurred_at, value_micros, named) values ('m', 'g', 'p{place}', '{fan}', {at(day)},"
            f" {value}, false)"
        )
    return con.execute(
        f"select model, conversion_id, touch_id, value_micros from ({MODEL.sql})"
    ).fetchall()


@settings(deadline=None, max_examples=25)
@given(st.lists(TOUCH, max_size=12), st.lists(GOAL, min_size=1, max_size=4))
def test_credits_of_a_model_add_up_to_the_conversion_whatever_its_value(con, touches, reached):
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for model, conversion, _, micros in credited(con, touches, reached):
        sums[model, conversion] += micros

    expected = {
        (model, f"p{place}"): value
        for place, (fan, day, value) in enumerate(reached)
        if any(f == fan and 0 <= day - t <= WINDOW for f, t in touches)
        for model in goals.MODELS
    }
    assert dict(sums) == expected


@settings(deadline=None, max_examples=25)
@given(
    st.lists(TOUCH, min_size=1, max_size=12),
    st.lists(
        st.tuples(st.sampled_from("fg"), st.integers(0, 40), st.integers(0, 10**9)),
        min_size=1,
        max_size=4,
    ),
)
def test_the_lake_and_a_file_of_the_same_touches_give_the_same_credits(con, touches, reached):
    lakes: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for model, _, touch, micros in credited(con, touches, reached):
        lakes[model][touch] += micros
    rules = attribution.Rules(lookback=timedelta(days=WINDOW))
    files = attribution.credit(attribution.join(*frames(touches, reached), rules), rules)

    for model in goals.MODELS:
        found = {touch: row["value_micros"] for touch, row in files[model].items()}
        for touch in {*found, *lakes[model]}:
            # Shares that are no whole numbers of the SQL's grid may round the other way.
            slack = 0 if model in ("first", "last", "linear") else len(reached)
            assert abs(found.get(touch, 0) - lakes[model].get(touch, 0)) <= slack


def frames(touches, reached) -> tuple[pl.DataFrame, pl.DataFrame]:
    names = [f"t{place:03}" for place in range(len(touches))]
    left = pl.DataFrame({
        "fan_id": [fan for fan, _ in touches],
        "ts": [DAY + timedelta(days=day) for _, day in touches],
        "channel": names, "event_id": names,
    })  # fmt: skip
    right = pl.DataFrame({
        "fan_id": [fan for fan, _, _ in reached],
        "ts": [DAY + timedelta(days=day) for _, day, _ in reached],
        "value_micros": [value for _, _, value in reached],
    })  # fmt: skip
    return left, right

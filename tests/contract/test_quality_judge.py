"""The compiled gate and Great Expectations say the same, whatever is in the batch."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from huntaze_pipeline.errors import ModelError
from huntaze_pipeline.quality import judge, sieve, suite
from huntaze_pipeline.quality.results import Result
from huntaze_pipeline.quality.suite import Suite
from huntaze_pipeline.warehouse import lake

pytestmark = [
    # The library's own habits, not ours.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
pytestmark = pytest.mark.slow  # to load Great Expectations takes longer than to judge
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
EVERYTHING = """description: Everything that a gate can compile, with and without a condition.
columns:
  {word: VARCHAR, other: VARCHAR, whole: BIGINT, real: DOUBLE, at: TIMESTAMPTZ, flag: BOOLEAN}
derive:
  half: whole / 2
  empty: word is null
expectations:
  - {type: ExpectColumnValuesToNotBeNull, column: word}
  - {type: ExpectColumnValuesToNotBeNull, column: real, mostly: 0.7}
  - {type: ExpectColumnValuesToNotBeNull, column: whole, where: flag}
  - {type: ExpectColumnValuesToBeNull, column: other, where: empty}
  - {type: ExpectColumnValuesToBeBetween, column: whole, min_value: -2, max_value: 3}
  - {type: ExpectColumnValuesToBeBetween, column: real, min_value: 0, strict_min: true}
  - {type: ExpectColumnValuesToBeBetween, column: real, max_value: 1.5, mostly: 0.5, where: flag}
  - {type: ExpectColumnValuesToBeBetween, column: half, max_value: 1, strict_max: true}
  - {type: ExpectColumnValuesToBeBetween, column: at, min_value: 2000-01-01, max_value: now + 1d}
  - {type: ExpectColumnValuesToBeInSet, column: word, value_set: [a, é, '', "it's"]}
  - {type: ExpectColumnValuesToBeInSet, column: whole, value_set: [1, 2], mostly: 0.25}
  - {type: ExpectColumnValuesToNotBeInSet, column: other, value_set: [a, ☃], where: flag}
  - {type: ExpectColumnValuesToMatchRegex, column: word, regex: '^[a-zé]+$'}
  - {type: ExpectColumnValuesToMatchRegex, column: other, regex: '\\S'}
  - {type: ExpectColumnValuesToNotMatchRegex, column: other, regex: '[\\x00-\\x1f]'}
  - {type: ExpectColumnValueLengthsToBeBetween, column: word, min_value: 1, max_value: 2}
  - type: ExpectColumnValueLengthsToBeBetween
    column: other
    max_value: 2
    strict_max: true
    where: flag
  - {type: ExpectColumnValuesToBeUnique, column: word}
  - {type: ExpectColumnValuesToBeUnique, column: whole, mostly: 0.4, where: flag}
  - {type: ExpectCompoundColumnsToBeUnique, column_list: [word, other]}
  - {type: ExpectCompoundColumnsToBeUnique, column_list: [word, whole], where: flag}
  - {type: ExpectTableRowCountToBeBetween, min_value: usual * 0.5, max_value: usual + 3}
"""
words = st.sampled_from(
    ["a", "b", "é", "", " ", "ab", "abc", "a\n", "it's", "☃", "x\x00", "\t", "\xa0", "\x0b"]
)
rows = st.lists(
    st.fixed_dictionaries(
        {
            "word": st.none() | words,
            "other": st.none() | words,
            "whole": st.none() | st.integers(-4, 5) | st.sampled_from([2**62, -(2**62)]),
            "real": st.none() | st.floats(width=32) | st.sampled_from([0.0, -0.0, 1.5]),
            "at": st.none() | st.datetimes(
                datetime(1990, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)  # noqa: DTZ001
            ),
            "flag": st.none() | st.booleans(),
        }
    ),
    max_size=40,
)  # fmt: skip
SCHEMA = {
    "word": pl.String, "other": pl.String, "whole": pl.Int64, "real": pl.Float64,
    "at": pl.Datetime("us", "UTC"), "flag": pl.Boolean,
}  # fmt: skip


@pytest.fixture(scope="module")
def con():
    with lake.engine() as found:
        yield found


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    path = tmp_path_factory.mktemp("suite") / "everything.yaml"
    path.write_text(EVERYTHING)
    return suite.load(path)


def brief(results: list[Result]) -> list[tuple[Any, ...]]:
    return [(r.expectation, r.success, r.rows, r.unexpected) for r in results]


@pytest.mark.slow
@settings(
    # The library takes about half a second for each; the batches are large instead.
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(batch=rows, usual=st.integers(0, 40))
def test_gate_and_library_count_alike(
    con: duckdb.DuckDBPyConnection, everything: Suite, batch: list[dict[str, Any]], usual: int
) -> None:
    asked = everything.resolved({"now": NOON, "usual": usual})
    con.register("batch", pl.DataFrame(batch, SCHEMA).to_arrow())
    verdict = judge.judge(con, "batch", asked, sample=None)
    measured = sieve.measure(con, "batch", asked)

    assert brief(list(verdict.results)) == brief(measured)
    assert verdict.disputed == ()


@pytest.mark.slow
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(batch=rows)
def test_the_rows_held_back_are_the_rows_that_are_counted_and_no_others(
    con: duckdb.DuckDBPyConnection, everything: Suite, batch: list[dict[str, Any]]
) -> None:
    """`broken` and `measure` compile the same suite in two ways; the library agrees with one."""
    frame = pl.DataFrame(batch, SCHEMA).with_row_index("_row")
    con.register("batch", frame.to_arrow())
    asked = everything.resolved({"now": NOON})
    held = sieve.broken(con, "batch", asked, "_row")
    sieving = {e.name for e in asked.expectations if e.sieves}
    counted = {
        r.expectation: r.unexpected
        for r in sieve.measure(con, "batch", asked)
        if r.expectation in sieving and r.unexpected
    }
    assert held.by == counted
    assert held.rows == len({r[0] for r in con.execute("select key from _broken").fetchall()})


def events(**changes: list[object]) -> pl.DataFrame:
    columns: dict[str, list[object]] = {
        "creator_id": ["maya", "maya"], "event_id": ["e1", "e2"], "name": ["tip", "opened"],
        "fan_id": ["f1", "f2"], "platform": ["email", None], "value_micros": [1_000_000, None],
        "currency": ["USD", None], "occurred_at": [NOON] * 2, "received_at": [NOON] * 2,
    }  # fmt: skip
    kinds = {"value_micros": pl.Int64, "platform": pl.String, "currency": pl.String}
    return pl.DataFrame(columns | changes, schema_overrides=kinds)


def failed(con: duckdb.DuckDBPyConnection, frame: pl.DataFrame) -> list[tuple[str, int]]:
    con.register("batch", frame.to_arrow())
    asked = suite.load(suite.shipped() / "events.yaml").resolved({})
    verdict = judge.judge(con, "batch", asked)
    assert verdict.disputed == ()
    return [(r.column, r.unexpected) for r in verdict.results if not r.success]


def test_a_sound_batch_meets_every_expectation(con: duckdb.DuckDBPyConnection) -> None:
    assert failed(con, events()) == []


@pytest.mark.slow
def test_each_kind_of_fault_is_named_with_its_column(con: duckdb.DuckDBPyConnection) -> None:
    assert failed(con, events(value_micros=[-1, 5], currency=["usd", "USD"])) == [
        ("value_micros", 1), ("currency", 1),
    ]  # fmt: skip
    assert failed(con, events(event_id=["e1", "e1"])) == [("creator_id, event_id", 2)]
    assert failed(con, events(fan_id=["\t ", None])) == [("fan_id", 1), ("fan_id", 1)]
    ahead = datetime(2026, 3, 4, tzinfo=UTC)
    assert failed(con, events(occurred_at=[ahead, datetime(1999, 1, 1, tzinfo=UTC)])) == [
        ("occurred_at", 1), ("ahead_s", 1),
    ]  # fmt: skip


def test_an_empty_batch_and_one_of_nothing_but_nulls_can_be_judged(
    con: duckdb.DuckDBPyConnection,
) -> None:
    assert failed(con, events().clear()) == []
    nothing = {name: [None, None] for name in events().columns}
    nulls = pl.DataFrame(nothing, schema=events().schema)
    assert {column for column, _ in failed(con, nulls)} == {
        "creator_id", "event_id", "fan_id", "name", "occurred_at",
    }  # fmt: skip


def test_a_column_that_is_missing_is_named(con: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(ModelError, match=r"events.yaml: no column currency"):
        failed(con, events().drop("currency"))


def test_a_large_batch_is_judged_by_a_sample_of_a_stated_size(
    con: duckdb.DuckDBPyConnection, everything: Suite
) -> None:
    con.register("batch", pl.DataFrame([{"word": "a"}] * 50, SCHEMA).to_arrow())
    verdict = judge.judge(con, "batch", everything.resolved({}), sample=20)
    assert (verdict.rows, verdict.judged) == (50, 20)


def test_arguments_that_the_library_refuses_are_named_with_their_line(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text(
        "description: d\ncolumns: {word: VARCHAR}\nexpectations:\n"
        "  - {type: ExpectColumnMeanToBeBetween, column: word, minimum: 1, severity: warn}\n"
    )
    con.register("batch", pl.DataFrame({"word": ["a"]}).to_arrow())
    with pytest.raises(ModelError, match=r"odd.yaml:4: "):
        judge.judge(con, "batch", suite.load(path))


def test_what_only_the_library_knows_it_judges_alone(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    path = tmp_path / "mean.yaml"
    path.write_text(
        "description: d\ncolumns: {n: BIGINT}\nexpectations:\n"
        "  - {type: ExpectColumnMeanToBeBetween, column: n, max_value: 1, severity: warn}\n"
    )
    con.register("batch", pl.DataFrame({"n": [1, 5]}).to_arrow())
    verdict = judge.judge(con, "batch", suite.load(path))
    assert [(r.success, r.severity) for r in verdict.results] == [(False, "warn")]

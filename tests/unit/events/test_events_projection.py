from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

import pytest
from duckdb import DuckDBPyConnection
from hypothesis import given, settings
from hypothesis import strategies as st

from huntaze_pipeline import hashing
from huntaze_pipeline.events import projection
from huntaze_pipeline.events.mapping import Value, parse
from huntaze_pipeline.events.projection import Scope
from huntaze_pipeline.events.source import Table
from huntaze_pipeline.sql import quoted
from huntaze_pipeline.warehouse import lake

MAPPING = parse(
    "kind: events\nzone: Europe/Paris\n"
    "let: {plan: {pick: {a: 1, b: 0, c: 3}, seed: s, by: x}}\n"
    "events: [{name: viewed, fan_id: x, occurred_at: x}]\n",
    "m",
)
TEXT = Scope(Table("t", {"x": "VARCHAR"}), MAPPING)
PLAIN = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


@pytest.fixture(scope="module")
def con() -> Iterator[DuckDBPyConnection]:
    with lake.engine() as found:
        yield found


def value(con: DuckDBPyConnection, sql: str, x: object, kind: str = "varchar") -> object:
    shown = "null" if x is None else quoted(str(x))
    row = con.execute(f"select {sql} from (select cast({shown} as {kind}) as x) _s").fetchone()
    return row[0] if row else None


@settings(deadline=None)
@given(PLAIN, PLAIN)
def test_a_share_is_the_same_number_in_sql_and_in_python(
    con: DuckDBPyConnection, seed: str, key: str
) -> None:
    got = con.execute(f"select {projection.fraction(seed, quoted(key))}").fetchone()
    assert got == (hashing.fraction(seed, key),)


def test_a_pick_follows_its_weights_and_is_for_ever_the_same(con: DuckDBPyConnection) -> None:
    pick = TEXT.expression(Value(column="plan")).sql
    rows = con.execute(
        f"select {pick} as p, count(*) from (select 'f' || range as x from range(20000)) _s"
        " group by all order by p"
    ).fetchall()
    assert [name for name, _ in rows] == ["a", "c"]
    assert abs(rows[0][1] / 20000 - 0.25) < 0.01
    assert value(con, pick, "f1") == ("a" if hashing.fraction("s", "f1") < 0.25 else "c")


def test_a_number_between_two_bounds_reaches_both(con: DuckDBPyConnection) -> None:
    spec = Value(between=(1, 3), seed="n", by="x", width=2)
    sql = TEXT.expression(spec).sql
    rows = con.execute(
        f"select distinct {sql} from (select 'f' || range as x from range(200)) _s order by 1"
    ).fetchall()
    assert rows == [("01",), ("02",), ("03",)]


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-07-01 10:00", datetime(2026, 7, 1, 8, tzinfo=UTC)),
        ("2026-01-01", datetime(2025, 12, 31, 23, tzinfo=UTC)),
        ("2026-01-01T10:00:00Z", datetime(2026, 1, 1, 10, tzinfo=UTC)),
        ("2026-01-01 10:00:00.5+05:30", datetime(2026, 1, 1, 4, 30, 0, 500_000, tzinfo=UTC)),
        ("2026-01-01T10:00:00-0800", datetime(2026, 1, 1, 18, tzinfo=UTC)),
        ("10:00", None),
        ("2026-02-30", None),
        (" ", None),
        (None, None),
    ],
)
def test_a_time_is_read_in_its_own_zone_or_in_the_mapping_s(
    con: DuckDBPyConnection, text: str | None, utc: datetime | None
) -> None:
    assert value(con, projection.time(TEXT, Value(column="x")), text) == utc


@settings(deadline=None)
@given(st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001
def test_a_naive_time_means_what_the_zone_says(con: DuckDBPyConnection, naive: datetime) -> None:
    aware = naive.replace(tzinfo=ZoneInfo("Europe/Paris"))
    skipped = aware.astimezone(UTC).astimezone(aware.tzinfo).replace(tzinfo=None) != naive
    repeated = aware.utcoffset() != aware.replace(fold=1).utcoffset()
    got = value(con, projection.time(TEXT, Value(column="x")), naive.isoformat(" "))
    if not skipped and not repeated:
        assert got == aware


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"epoch": "s"}, "1767261600"),
        ({"epoch": "ms"}, "1767261600000"),
        ({"format": "%d/%m/%Y %H:%M"}, "01/01/2026 11:00"),
        ({"format": "%d/%m/%Y %H:%M %z"}, "01/01/2026 10:00 +0000"),
    ],
)
def test_other_ways_to_write_a_time(con: DuckDBPyConnection, spec: dict, text: str) -> None:
    got = value(con, projection.time(TEXT, Value(column="x", **spec)), text)
    assert got == datetime(2026, 1, 1, 10, tzinfo=UTC)


@settings(deadline=None)
@given(st.decimals(-(10**9), 10**9, places=6))
def test_money_as_text_is_exact(con: DuckDBPyConnection, amount: Decimal) -> None:
    assert value(con, projection.money(TEXT, Value(column="x")), amount) == int(amount * 10**6)


@settings(deadline=None)
@given(st.integers(-(10**11), 10**11))
def test_money_as_a_float_is_exact_to_the_cent(con: DuckDBPyConnection, cents: int) -> None:
    scope = Scope(Table("t", {"x": "DOUBLE"}), MAPPING)
    got = value(con, projection.money(scope, Value(column="x")), cents / 100, "double")
    exact = (Decimal(cents) / 100).quantize(Decimal("0.01"), ROUND_HALF_UP)
    assert got == int(exact * 10**6)


@pytest.mark.parametrize("text", ["nan", "inf", "1,5", "", "free", "1e40"])
def test_what_is_no_amount_is_null(con: DuckDBPyConnection, text: str) -> None:
    assert value(con, projection.money(TEXT, Value(column="x")), text) is None


def test_a_column_with_hostile_characters_is_only_a_name(con: DuckDBPyConnection) -> None:
    name = "a\"b'; drop table t; --"
    scope = Scope(Table("t", {name: "VARCHAR"}), MAPPING)
    sql = scope.expression(Value(text="<{x}> it's")).sql
    assert list(scope.missing) == ["x"]
    assert "null" in sql
    quoted_name = scope.expression(Value(column=name)).sql
    row = con.execute(f'select {quoted_name} from (select \'v\' as "a""b\'; drop table t; --") _s')
    assert row.fetchone() == ("v",)


def test_names_that_lead_in_a_circle_end() -> None:
    mapping = parse(
        "kind: events\nlet: {a: {text: '{b}'}, b: {text: '{a}'}}\n"
        "events: [{name: viewed, fan_id: a, occurred_at: x}]\n",
        "m",
    )
    scope = Scope(Table("t", {"x": "VARCHAR"}), mapping)
    scope.expression(Value(column="a"))
    assert list(scope.missing) == ["a"]

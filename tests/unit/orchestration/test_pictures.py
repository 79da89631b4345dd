"""Pictures in Dagster: small, inline, and never the reason why a table is not built."""

import base64
import struct
from collections.abc import Iterator
from functools import cache

import duckdb
import pytest

from huntaze_pipeline.audience.segments import Delta
from huntaze_pipeline.orchestration import pictures
from huntaze_pipeline.reports import ready
from huntaze_pipeline.rulebook.policies import Policies, load_policies
from huntaze_pipeline.settings import load

SENDS = "metrics.sends_per_minute"
TABLES = {
    "metrics.sends_per_minute": """
        select 'maya' as creator_id, 'a' || i as account_id, 'onlyfans' as platform,
            timestamptz '2026-03-02 12:00:00+00' + to_minutes(m::integer) as minute,
            if(i = 3, 40, (m + i) % 11) as sends from range(5) t(i), range(600) u(m)
    """,
}
ACCOUNTS = """
    select 'maya' as creator_id, 'a' || i as id, if(i = 3, 50, null)::integer as limit_count,
        null::integer as limit_window_s from range(5) t(i)
"""


@cache
def policies() -> Policies:
    return load_policies(load().rules_dir)


@pytest.fixture
def lake() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        con.execute("attach ':memory:' as lake; create schema lake.metrics; create schema lake.raw")
        for table, query in TABLES.items():
            con.execute(f"create table lake.{table} as {query}")
        con.execute(f"create table lake.raw.accounts as {ACCOUNTS}")
        yield con


def png(shown: pictures.Metadata) -> bytes:
    text = str(shown["picture"].value)
    assert text.startswith("!["), text
    return base64.b64decode(text.split("base64,")[1].partition(")")[0], validate=True)


def test_a_picture_is_a_small_png_in_markdown(lake: duckdb.DuckDBPyConnection) -> None:
    drawn = png(pictures.of(SENDS, lake, policies))
    width, height = struct.unpack(">II", drawn[16:24])

    assert drawn.startswith(b"\x89PNG")
    assert len(drawn) < pictures.LARGEST
    assert 600 < width < 1200
    assert 100 < height < 700


def test_an_empty_table_has_no_picture(lake: duckdb.DuckDBPyConnection) -> None:
    lake.execute(f"truncate lake.{SENDS}")

    assert pictures.of(SENDS, lake, policies) == {}


def test_a_picture_that_fails_says_so_and_goes_no_further(lake: duckdb.DuckDBPyConnection) -> None:
    def broken() -> Policies:
        raise OSError("no such file")

    told = pictures.of(SENDS, lake, broken)["picture"].value
    lake.execute(f"drop table lake.{SENDS}")
    other = pictures.of(SENDS, lake, policies)["picture"].value

    assert told == "could not be drawn: OSError('no such file')"
    assert other == "could not be drawn: CatalogException"


def test_a_picture_that_is_too_large_is_left_out(
    lake: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "LARGEST", 10)
    told = pictures.of(SENDS, lake, policies)["picture"].value

    assert str(told).startswith("left out: ")


def test_most_tables_have_no_picture(lake: duckdb.DuckDBPyConnection) -> None:
    assert pictures.of("staging.stg_events", lake, policies) == {}


def test_the_sends_are_held_against_the_limit_that_most_of_them_have(
    lake: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.execute("delete from lake.metrics.sends_per_minute where minute = '2026-03-02T21:30:00Z'")
    seen = []
    whole = ready.sends
    monkeypatch.setattr(
        ready, "sends", lambda rows, limit: seen.append((rows, limit)) or whole(rows, limit)
    )
    lake.execute("update lake.metrics.sends_per_minute set sends = 1 where account_id = 'a3'")
    pictures.of("metrics.sends_per_minute", lake, policies)
    ((rows, limit),) = seen

    assert limit == 10
    assert max(row["busiest"] for row in rows) == 10
    assert len(rows) == pictures.HOURS * 60 + 3
    assert [row["sends"] for row in rows].count(0) == 3  # the gap, and one at either end


def test_segments_of_one_name_are_told_apart_and_the_largest_are_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []
    whole = ready.sizes
    monkeypatch.setattr(ready, "sizes", lambda rows, *a: seen.append(rows) or whole(rows, *a))
    deltas = [Delta(who, "vip", [], [], size) for who, size in (("maya", 5), ("bo", 9))]
    pictures.segments([*deltas, *(Delta("x", f"s{i}", [], [], 0) for i in range(20))])

    assert seen[0][:2] == [{"name": "vip (bo)", "size": 9}, {"name": "vip (maya)", "size": 5}]
    assert len(seen[0]) == pictures.MANY
    assert pictures.segments([]) == {}

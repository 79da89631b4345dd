"""Pictures in Dagster: small, inline, and never the reason why a table is not built."""

import base64
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import duckdb
import pytest

from huntaze_pipeline.audience.segments import Delta
from huntaze_pipeline.measurement import charts
from huntaze_pipeline.orchestration import pictures
from huntaze_pipeline.rulebook.policies import Policies, load_policies
from huntaze_pipeline.settings import load

TABLES = {
    "metrics.campaign_metrics": """
        select 'maya' as creator_id, 'c' || i as campaign_id, 'Drop' as name, 9000 // i as sent,
            4000 // i as opened, 900 // i as clicked, 90 // i as converted from range(1, 27) t(i)
    """,
    "metrics.campaign_roi": """
        select 'maya' as creator_id, 'c' || i as campaign_id, if(i = 1, 'EUR', 'USD') as currency,
            90_000_000 // i as revenue_micros, i * 1_000_000 as cost_micros, 0.5 as roi
        from range(1, 27) t(i)
    """,
    "metrics.experiment_arms": """
        select 'maya' as creator_id, 'test' || i as experiment_id, 'clicked' as metric,
            'v' || j as variant_id, j as position, i * 100 as n, (i * j)::double as sum
        from range(0, 9) t(i), range(3) u(j)
    """,
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


@pytest.mark.parametrize("table", TABLES)
def test_a_picture_is_a_small_png_in_markdown(lake: duckdb.DuckDBPyConnection, table: str) -> None:
    drawn = png(pictures.of(table, lake, policies))
    width, height = struct.unpack(">II", drawn[16:24])

    assert drawn.startswith(b"\x89PNG")
    assert len(drawn) < pictures.LARGEST
    assert 600 < width < 1200
    assert 100 < height < 700


@pytest.mark.parametrize("table", TABLES)
def test_an_empty_table_has_no_picture(lake: duckdb.DuckDBPyConnection, table: str) -> None:
    lake.execute(f"truncate lake.{table}")

    assert pictures.of(table, lake, policies) == {}


def test_a_picture_that_fails_says_so_and_goes_no_further(lake: duckdb.DuckDBPyConnection) -> None:
    def broken() -> Policies:
        raise OSError("no such file")

    told = pictures.of("metrics.sends_per_minute", lake, broken)["picture"].value
    lake.execute("drop table lake.metrics.experiment_arms")
    other = pictures.of("metrics.experiment_arms", lake, policies)["picture"].value

    assert told == "could not be drawn: OSError('no such file')"
    assert other == "could not be drawn: CatalogException"


def test_a_picture_that_is_too_large_is_left_out(
    lake: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "LARGEST", 10)
    told = pictures.of("metrics.campaign_metrics", lake, policies)["picture"].value

    assert str(told).startswith("left out: ")


def test_most_tables_have_no_picture(lake: duckdb.DuckDBPyConnection) -> None:
    assert pictures.of("staging.stg_events", lake, policies) == {}


def test_the_sends_are_held_against_the_limit_that_most_of_them_have(
    lake: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.execute("delete from lake.metrics.sends_per_minute where minute = '2026-03-02T21:30:00Z'")
    seen = []
    monkeypatch.setattr(
        charts, "limiter", lambda rows, limit: seen.append((rows, limit)) or "<svg>"
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
    monkeypatch.setattr(charts, "bars", lambda rows, *_: seen.append(rows) or "<svg>")
    deltas = [Delta(who, "vip", [], [], size) for who, size in (("maya", 5), ("bo", 9))]
    pictures.segments([*deltas, *(Delta("x", f"s{i}", [], [], 0) for i in range(20))])

    assert seen[0][:2] == [{"name": "vip (bo)", "size": 9}, {"name": "vip (maya)", "size": 5}]
    assert len(seen[0]) == pictures.MANY
    assert pictures.segments([]) == {}


def test_packing_changes_no_pixel() -> None:
    import vl_convert

    svg = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"></svg>'
    white = svg.replace("></svg>", '><rect width="100%" height="100%" fill="#fff"/></svg>')

    assert _pixels(charts.png(svg)) == _pixels(vl_convert.svg_to_png(white))


def _pixels(image: bytes) -> bytes:
    start, found = 8, b""
    while start < len(image):
        (size,) = struct.unpack_from(">I", image, start)
        body = image[start + 4 : start + 8 + size]
        assert zlib.crc32(body) == struct.unpack_from(">I", image, start + 8 + size)[0]
        found += body[4:] if body.startswith(b"IDAT") else b""
        start += size + 12
    return zlib.decompress(found)


def test_nothing_is_imported_before_the_first_picture() -> None:
    code = (
        "import sys; import huntaze_pipeline.orchestration.pictures;"
        "print({'altair', 'vl_convert', 'scipy', 'huntaze_pipeline.measurement.charts'}"
        " & set(sys.modules))"
    )
    root = Path(__file__).parents[3]
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )

    assert run.stdout.strip() == "set()"

"""Building what does not fit into memory: in parts, with what one part would have come to."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from duckdb import DuckDBPyConnection

from huntaze_pipeline.errors import ModelError
from huntaze_pipeline.warehouse import lake, models, parts, runner

HEAD = """/* ---
description: What each fan paid.
grain: [{grain}]
owner: team:data
materialization: incremental
incremental:
{how}
columns:
{columns}
--- */
"""
PAIRS = HEAD.format(
    grain="event_id",
    how="  partition: occurred_at\n  reads: {raw.events: {time: occurred_at, reach: 1d}}",
    columns=(
        "  event_id: VARCHAR | the payment\n  occurred_at: TIMESTAMPTZ | when\n"
        "  before: BIGINT | how many came in the day before it"
    ),
) + (
    "select a.event_id, a.occurred_at, count(b.event_id) as before from source('raw.events') a\n"
    "left join source('raw.events') b on b.fan_id = a.fan_id and b.occurred_at < a.occurred_at\n"
    "    and b.occurred_at >= a.occurred_at - interval 1 day\n"
    "group by all"
)
FANS = HEAD.format(
    grain="fan_id",
    how=(
        "  key: [fan_id]\n  split: [fan_id]\n  near: first_at\n  reads: {raw.events: {}}\n"
        "  merge: {micros: sum, first_at: min}"
    ),
    columns=(
        "  fan_id: VARCHAR | who\n  micros: BIGINT | paid\n  first_at: TIMESTAMPTZ | first time"
    ),
) + (
    "select fan_id, sum(value_micros)::bigint as micros, min(occurred_at) as first_at\n"
    "from source('raw.events') group by fan_id"
)
KEYS = FANS.replace("  split: [fan_id]\n  near: first_at\n", "").replace(
    "\n  merge: {micros: sum, first_at: min}", ""
)


class Listening:
    """A connection that remembers what it was asked."""

    def __init__(self, con: DuckDBPyConnection) -> None:
        self._con, self.queries = con, []

    def execute(self, query: str, *values: object) -> DuckDBPyConnection:
        self.queries.append(query)
        return self._con.execute(query, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._con, name)


@pytest.fixture
def con(tmp_path: Path) -> Iterator[DuckDBPyConnection]:
    with lake.private(tmp_path / "lake") as con:
        con.execute(
            "insert into lake.raw.events by name select 'c' as creator_id, 'e' || i as event_id,"
            " 'purchase' as name, 'fan-' || (i % 7) as fan_id, i as value_micros,"
            " timestamptz '2026-01-01' + to_hours(5 * i) as occurred_at from range(120) r(i)"
        )
        con.execute(
            "insert into lake.raw.events by name select 'c' as creator_id, 'timeless' as event_id,"
            " 'purchase' as name, 'fan-0' as fan_id, 1 as value_micros"
        )
        yield con


def built(con: Any, folder: Path, text: str) -> list[str]:
    (folder / "marts").mkdir(exist_ok=True)
    (folder / "marts" / "numbers.sql").write_text(text)
    runner.build(con, models.load(folder), full=True)
    return sorted(map(str, con.execute("from lake.marts.numbers").fetchall()))


@pytest.mark.parametrize("text", [PAIRS, FANS, KEYS], ids=["days", "merge", "keys"])
@pytest.mark.parametrize("number", [pytest.param(2, marks=pytest.mark.slow), 7])
def test_parts_come_to_what_the_whole_comes_to(
    con: DuckDBPyConnection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    number: int,
) -> None:
    whole = built(con, tmp_path, text)
    con.execute("set memory_limit = '1 GiB'")
    monkeypatch.setattr(parts, "_ROW", number * (1 << 30) // 121)

    assert built(con, tmp_path, text) == whole


def test_an_empty_table_is_built_from_nothing(
    con: DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    con.execute("delete from lake.raw.events")
    monkeypatch.setattr(parts, "_ROW", 1 << 40)

    assert [built(con, tmp_path, text) for text in (PAIRS, FANS, KEYS)] == [[], [], []]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limit", "number"), [("512 MiB", 4), ("1 GiB", 2), ("2 GiB", 1), ("1.5 TiB", 1)]
)
def test_as_many_parts_are_made_as_the_memory_asks_for(
    con: DuckDBPyConnection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    number: int,
) -> None:
    told = Listening(con)
    con.execute(f"set memory_limit = '{limit}'")
    monkeypatch.setattr(parts, "_ROW", (2 << 30) // 121)
    built(told, tmp_path, FANS)

    inserted = [q for q in told.queries if q.startswith("insert into lake.marts.numbers")]
    assert 1 + len(inserted) == number


def test_a_header_splits_by_columns_of_its_key_alone(tmp_path: Path) -> None:
    (tmp_path / "marts").mkdir()
    path = tmp_path / "marts" / "numbers.sql"
    path.write_text(FANS.replace("split: [fan_id]", "split: [micros]"))
    with pytest.raises(ModelError, match="`split` names columns of the `key`"):
        models.load(tmp_path)
    path.write_text(PAIRS.replace("  partition:", "  split: [event_id]\n  partition:"))
    with pytest.raises(ModelError, match="`split` go with `key`"):
        models.load(tmp_path)

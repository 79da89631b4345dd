"""What people are told of the lake's tables."""

from pathlib import Path

import duckdb
import pytest

from huntaze_pipeline.warehouse import lake


def test_a_table_that_is_not_there_is_told_with_what_makes_it(tmp_path: Path) -> None:
    with lake.private(tmp_path / "lake") as con, pytest.raises(duckdb.Error) as caught:
        con.execute("from lake.marts.fan_facts")

    told = "the lake has no table fan_facts yet; `huntaze models build` makes the tables"
    assert str(lake.absent(caught.value)) == told

import json
from pathlib import Path

import duckdb
import pytest

from huntaze_pipeline.local import summary


def arrival(account: str, t: float, at: str = "2026-03-02T12:00:00+00:00") -> str:
    return json.dumps({"platform": "email", "account": account, "t": t, "at": at})


def test_the_busiest_window_is_counted_from_the_log_of_arrivals(tmp_path: Path) -> None:
    log = tmp_path / "arrivals.jsonl"
    times = [0.0, 1.0, 2.0, 59.9, 70.0]
    log.write_text("\n".join([*(arrival("a", t) for t in times), arrival("b", 3.0)]) + "\n")
    found = summary.limiter(log, {"bans": 0, "duplicates": 0})

    assert (found["arrivals"], found["accounts"]) == (6, 2)
    assert found["max_in_any_60s"] == 4


def test_an_empty_log_is_no_send(tmp_path: Path) -> None:
    log = tmp_path / "arrivals.jsonl"
    log.touch()
    found = summary.limiter(log, {"bans": 0, "duplicates": 0})

    assert (found["arrivals"], found["max_in_any_60s"], found["per_minute"]) == (0, 0, [])


def test_an_arm_has_its_rate_and_an_interval_around_it() -> None:
    row = {"experiment_id": "x", "variant_id": "a", "n": 200, "sum": 20.0}
    arm = summary._arm(row)

    assert arm["rate"] == pytest.approx(0.1)
    assert arm["ci"][0] < 0.1 < arm["ci"][1]


def test_an_arm_without_recipients_says_nothing_of_its_rate() -> None:
    row = {"experiment_id": "x", "variant_id": "a", "n": 0, "sum": 0.0}

    assert summary._arm(row)["ci"] == [0.0, 1.0]


def test_rows_come_back_by_name() -> None:
    with duckdb.connect() as con:
        assert summary.lake_rows(con, "select 1 as a, 'x' as b") == [{"a": 1, "b": "x"}]

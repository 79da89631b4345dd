"""Checks as Dagster shows them, and `huntaze quality` on files."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from huntaze_pipeline import cli
from huntaze_pipeline.events import inbox
from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.orchestration import quality, retention
from huntaze_pipeline.quality import history, suite
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.session import Store
from huntaze_pipeline.warehouse import lake, pull

pytestmark = [
    # The library's own habits, not ours.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HEAD = "creator_id,event_id,name,fan_id,platform,value_micros,currency,occurred_at,received_at\n"


@pytest.fixture
def con(settings: Settings) -> Iterator[lake.DuckDBPyConnection]:
    with lake.connect(settings) as found:
        yield found


def live(store: Store, event_id: str, at: datetime = NOON, micros: int = 1_000_000) -> None:
    event = Event(
        creator_id="maya", event_id=event_id, name="purchase", fan_id="fan-1", occurred_at=at,
        source="api", value_micros=micros, currency="EUR", platform="email",
    )  # fmt: skip
    with store.worker() as connection:
        inbox.append(connection, [event])


@pytest.mark.slow
def test_what_arrived_is_judged_once_and_kept_with_the_failing_examples(
    store: Store, creator: str, con: lake.DuckDBPyConnection
) -> None:
    folder = suite.shipped().parent
    assert quality.arrivals(con, store, folder, NOON).passed  # an empty lake
    live(store, "good")
    pull.inbox(store, con)
    assert quality.arrivals(con, store, folder, NOON).passed
    live(store, "huge", micros=20_000_000_000)
    pull.inbox(store, con)
    told = quality.arrivals(con, store, folder, NOON)

    assert (told.passed, told.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert told.metadata["rows"].value == 1
    assert "20000000000" in str(told.metadata["failed"].value)
    with store.worker() as connection:
        assert history.judged(connection, "events") == 2
        kept = history.listed(connection, suite="events", failed=True)
        assert [(r["judge"], r["subject"]) for r in kept if r["severity"] == "warn"] == [
            ("great_expectations", "arrival:2-2")
        ]
    assert retention.checks(store, NOON + retention.CHECKS) == 0
    assert retention.checks(store, datetime(2030, 1, 1, tzinfo=UTC)) > 0


@pytest.mark.slow
def test_rows_that_slipped_past_the_gate_are_an_error(
    store: Store, creator: str, con: lake.DuckDBPyConnection
) -> None:
    live(store, "good")
    pull.inbox(store, con)
    con.execute("update lake.raw.events set fan_id = ' '")
    told = quality.arrivals(con, store, suite.shipped().parent, NOON)

    assert (told.passed, told.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "an id is no blank" in str(told.metadata["failed"].value)


def test_what_waits_in_the_quarantine_warns_until_it_is_dropped(
    store: Store, creator: str, con: lake.DuckDBPyConnection
) -> None:
    assert quality.waiting(store).passed
    live(store, "old", at=datetime(1999, 1, 1, tzinfo=UTC))
    pull.inbox(store, con)
    told = quality.waiting(store)

    assert (told.passed, told.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "| inbox | occurred_at | 1 |" in str(told.metadata["reasons"].value)
    with store.worker() as connection:
        connection.execute(text("update quarantine set state = 'dropped'"))
    assert quality.waiting(store).passed


@pytest.mark.slow
def test_a_file_is_checked_by_a_suite_and_the_exit_code_says_how_it_went(tmp_path: Path) -> None:
    good = "maya,e{n},tip,ana,email,1000,EUR,2026-01-01T10:00:00Z,2026-01-01T10:00:01Z\n"
    path = tmp_path / "rows.csv"
    path.write_text(HEAD + good.format(n=1) + good.format(n=2))
    run = CliRunner().invoke
    assert run(cli.app, ["quality", "check", str(path)]).exit_code == 0
    path.write_text(HEAD + good.format(n=1) + good.format(n=1).replace("1000", "many"))
    done = run(cli.app, ["quality", "check", str(path), "--json"])

    assert done.exit_code == 1
    failed = [r for r in json.loads(done.stdout)["results"] if not r["success"]]
    assert [(r["expectation"], r["examples"]) for r in failed][:2] == [
        ("column value_micros is BIGINT", ["many"]),
        ("ExpectCompoundColumnsToBeUnique creator_id, event_id", ["maya, e1"]),
    ]
    path.write_text("event_id\n1\n")
    told = str(run(cli.app, ["quality", "check", str(path)]).exception)
    assert "has no column fan_id" in told
    assert "huntaze ingest --mapping" in told


@pytest.mark.slow
def test_the_data_docs_of_a_batch_are_pages_that_name_what_failed(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(HEAD + "maya,e1,tip,ana,email,5,euro,2026-01-01,2026-01-01\n")
    out = tmp_path / "pages"
    done = CliRunner().invoke(cli.app, ["quality", "docs", str(path), "--out", str(out)])

    assert done.exit_code == 0, done.output
    assert Path(done.stdout.strip().splitlines()[-1]) == out / "index.html"
    (page,) = (out / "validations").rglob("*.html")
    assert "euro" in page.read_text("utf-8")
    index = (out / "index.html").read_text("utf-8")
    assert f'<a href="{page.relative_to(out)}">Failed</a>' in index
    for each in out.rglob("*.html"):
        assert "http" not in each.read_text("utf-8"), f"{each} takes something from the web"

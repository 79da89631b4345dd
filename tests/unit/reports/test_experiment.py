"""A test on revenue: what recipients spent is an amount, whoever spent anything is a share."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from duckdb import DuckDBPyConnection

from huntaze_pipeline.reports import experiment, figures, files, looks
from huntaze_pipeline.settings import load
from huntaze_pipeline.warehouse import lake, models, reports

WHOSE = figures.Tenant("maya", "Maya", "EUR", "America/New_York", None)
LOOKED = datetime(2026, 11, 3, tzinfo=UTC)
LOOK = {
    "method": "always_valid", "best": "bold", "state": "running",
    "pairs": [{"a": "plain", "b": "bold", "estimate": 2.5, "z": 1.8, "low": -3.0, "high": 8.0}],
}  # fmt: skip


@pytest.fixture
def con() -> Iterator[DuckDBPyConnection]:
    project = models.load(load().models_dir)
    with lake.engine() as con:
        con.execute("attach ':memory:' as lake; create schema lake.metrics;"
                    " create schema lake.marts")  # fmt: skip
        for name in ("metrics.experiment_arms", "marts.dim_experiments"):
            columns = ", ".join(f'"{c.name}" {c.type}' for c in project.model(name).columns)
            con.execute(f"create table lake.{name} ({columns})")
        con.execute(
            "insert into lake.metrics.experiment_arms by name select * from (values"
            " ('maya', 't', 'plain', 0, 'revenue', 100, 100, 20, 4000.0),"
            " ('maya', 't', 'bold', 1, 'revenue', 100, 100, 25, 4250.0)) t(creator_id,"
            " experiment_id, variant_id, position, metric, assigned, n, hits, sum)"
        )
        yield con


@pytest.fixture
def found(con: DuckDBPyConnection) -> experiment.Found:
    folder = load().models_dir
    report = reports.one(folder, models.load(folder), "experiments")
    arms = figures.run(con, report, WHOSE, figures.values(report, {}))
    row = dict.fromkeys(("planned_n", "started_at", "decided_at", "winner_variant_id"))
    row |= {"id": "t", "metric": "revenue", "window_s": 86400, "alpha": 0.05, "state": "running"}
    counts = [{"id": name, "assigned": 100, "weight": 1} for name in ("plain", "bold")]
    look = {"step": 1, "looked_at": LOOKED, "counts": counts, "result": LOOK}
    return experiment.Found(WHOSE, row, [look], arms)


def test_an_arm_of_a_test_on_revenue_has_its_buyers_and_what_each_recipient_spent(found):
    plain, bold = found.arms.table.rows
    assert (plain["hits"], plain["rate"], plain["spent"]) == (20, 0.2, 40_000_000)
    assert (bold["hits"], bold["spent"]) == (25, 42_500_000)
    assert 0.12 < plain["low"] < 0.2 < plain["high"] < 0.3


def test_differences_of_a_test_on_revenue_are_amounts_and_those_of_others_shares():
    money, share = looks.differences(LOOK, "EUR"), looks.differences(LOOK)
    assert money is not None
    assert share is not None
    assert (money.table.rows[0]["estimate"], money.table.column("low").format) == (2.5e6, "money")
    assert (share.table.rows[0]["estimate"], share.table.column("low").format) == (2.5, "percent")


def test_the_page_of_a_test_on_revenue_speaks_of_money(found):
    html = files.page(experiment.page(found), "html").decode()
    assert "recipients spend more" in html
    assert "€2.50" in html
    assert "percentage points" not in html


def test_a_tests_days_are_those_of_the_creators_zone(found):
    found.experiment["started_at"] = datetime(2026, 11, 1, 2, tzinfo=UTC)
    assert "31 Oct 2026" in experiment.page(found).subtitle

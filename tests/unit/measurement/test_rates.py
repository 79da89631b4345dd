"""Rates of live counts are the settled ones: the lake's SQL, and Wilson's interval."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huntaze_pipeline.measurement import rates
from huntaze_pipeline.measurement.analytics import Counts
from huntaze_pipeline.measurement.proportions import wilson
from huntaze_pipeline.settings import load
from huntaze_pipeline.warehouse import lake, models

PROJECT = models.load(load().models_dir)
MODEL = PROJECT.model("metrics.campaign_rates")

few = st.integers(0, 5)
counts = st.builds(
    Counts, sent=st.integers(0, 1_000_000), delivered=few, opened=few, clicked=few,
    human_opened=few, human_clicked=few, converters=few,
)  # fmt: skip


@pytest.fixture(scope="module")
def con():
    with lake.engine() as found:
        found.execute("attach ':memory:' as lake")
        for schema in lake.SCHEMAS:
            found.execute(f"create schema lake.{schema}")
        for name in MODEL.refs:
            columns = ", ".join(f"{c.name} {c.type}" for c in PROJECT.model(name).columns)
            found.execute(f"create table lake.{name} ({columns})")
        found.execute("insert into lake.marts.dim_campaigns (creator_id, campaign_id, goal)"
                      " values ('maya', 'spring', 'purchase')")  # fmt: skip
        yield found


@settings(deadline=None)
@given(counts)
def test_the_lake_and_the_live_side_give_one_rate(con, told: Counts) -> None:
    con.execute("delete from lake.metrics.campaign_metrics; delete from lake.marts.fct_conversions")
    con.execute(
        "insert into lake.metrics.campaign_metrics (creator_id, campaign_id, sent, delivered,"
        f" opened, clicked, human_opened, human_clicked) values ('maya', 'spring', {told.sent},"
        f" {told.delivered}, {told.opened}, {told.clicked}, {told.human_opened},"
        f" {told.human_clicked})"
    )
    con.execute(
        "insert into lake.marts.fct_conversions (creator_id, campaign_id, goal, fan_id)"
        f" select 'maya', 'spring', 'purchase', 'f' || n from range({told.converters}) r(n)"
    )
    rows = con.execute(
        f"select metric, numerator, denominator, rate, low, high from ({MODEL.sql})"
    ).fetchall()
    live = {rate.metric: rate for rate in rates.of(told)}
    assert {row[0] for row in rows} == set(live)
    for metric, x, n, *shares in rows:
        mine = live[metric]
        assert (mine.numerator, mine.denominator) == (x, n)
        assert [mine.rate, mine.low, mine.high] == pytest.approx(shares, abs=1e-12)


@settings(deadline=None)
@given(st.integers(1, 10**6), st.data())
def test_the_interval_is_wilson_s_and_holds_its_rate(n: int, data: st.DataObject) -> None:
    x = data.draw(st.integers(0, n))
    found = rates.of(Counts(sent=n, clicked=x))[3]
    low, high = (float(bound[0]) for bound in wilson([x], [n]))
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))
    assert found.low is not None
    assert found.high is not None
    assert found.low <= x / n <= found.high


def test_more_than_all_is_no_share() -> None:
    conversion = rates.of(Counts(sent=1, converters=2))[7]
    assert (conversion.metric, conversion.numerator, conversion.rate) == ("conversion", 2, None)
    assert rates.of(Counts())[0].rate is None

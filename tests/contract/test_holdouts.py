"""What a holdout shows, in a real lake: read as sums, stored as a table that people ask."""

from huntaze_pipeline.measurement import holdouts, incrementality
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.session import Store
from huntaze_pipeline.warehouse import lake


def test_sums_become_incremental_revenue_that_sql_can_ask(settings: Settings, store: Store) -> None:
    with lake.connect(settings) as con:
        assert holdouts.read(con) == []
        holdouts.store(con, [])
        con.execute(
            """create table lake.metrics.campaign_holdout as
            select 'maya' as creator_id, 'spring' as campaign_id, * from (values
                ('treated', 1000, 120, 900.0, 9000.0), ('holdout', 200, 12, 80.0, 700.0))
                t(arm, n, buyers, sum, sum_squares)"""
        )
        con.execute(
            """create table lake.metrics.campaign_roi as
            select 'maya' as creator_id, 'spring' as campaign_id, 100000000 as cost_micros"""
        )
        found = incrementality.incremental(holdouts.read(con))
        holdouts.store(con, found)
        holdouts.store(con, found)
        rows = con.sql(
            "select revenue, low < revenue, roi, roi_low < roi, note from"
            " lake.metrics.campaign_incremental"
        ).fetchall()

    assert rows == [(500.0, True, 4.0, True, "few buyers (holdout 12): the interval is rough")]
    assert "500.00" in holdouts.table(found)

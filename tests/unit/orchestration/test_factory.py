"""What a model's asset tells Dagster besides its rows."""

from dataclasses import replace
from datetime import timedelta

import dagster as dg
import pytest

from huntaze_pipeline.orchestration import factory
from huntaze_pipeline.settings import load as settings
from huntaze_pipeline.warehouse import lineage
from huntaze_pipeline.warehouse.models import load


def test_columns_lead_to_the_columns_that_they_are_made_of() -> None:
    project = load(settings().models_dir)
    told = factory.ancestry(project.model("metrics.revenue"), lineage.shapes(project))
    shown = told["dagster/column_lineage"].value

    assert isinstance(shown, dg.TableColumnLineage)
    assert shown.deps_by_column["total_micros"] == [
        dg.TableColumnDep(
            asset_key=dg.AssetKey(["staging", "stg_purchases"]), column_name="value_micros"
        )
    ]


def test_a_lineage_that_cannot_be_read_says_why_and_fails_nothing() -> None:
    project = load(settings().models_dir)
    broken = replace(project.model("metrics.revenue"), body="select (")
    told = factory.ancestry(broken, lineage.shapes(project))

    assert set(told) == {"column_lineage"}
    assert "revenue.sql: no lineage" in str(told["column_lineage"].value)


def test_a_header_s_freshness_becomes_a_policy_that_warns_before_it_fails() -> None:
    policy = factory.freshness("2h")

    assert policy == dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=2), warn_window=timedelta(minutes=90)
    )
    assert factory.freshness(None) is None
    for wrong in ("2", "soon", "30s"):
        with pytest.raises(ValueError):
            factory.freshness(wrong)

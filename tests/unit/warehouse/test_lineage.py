"""Which columns a column is made of."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from huntaze_pipeline.errors import ModelError
from huntaze_pipeline.settings import load as settings
from huntaze_pipeline.warehouse import docs, lineage
from huntaze_pipeline.warehouse.lineage import Origin
from huntaze_pipeline.warehouse.models import Project, load

COUNTED = {
    "metrics.sends_per_minute": {"sends"},
    "metrics.revenue": {"purchases"},
    "marts.fct_credits": {"model", "touches"},
    "metrics.campaign_holdout": {"fans"},
    "metrics.campaign_income": {"kind", "purchases"},
    "metrics.books": {"decided"},
    "metrics.campaign_rates": {"dimension"},
    "staging.stg_firsts": {"touch"},
}
"""Columns that count rows or say a constant."""


@cache
def project() -> Project:
    return load(settings().models_dir)


def traced(name: str) -> dict[str, tuple[Origin, ...]]:
    return lineage.columns(project().model(name), lineage.shapes(project()))


def test_a_column_is_followed_through_joins_and_common_tables() -> None:
    found = traced("marts.fct_attribution")

    assert found["value_micros"] == (
        Origin("marts.fct_credits", "value_micros"),
        Origin("staging.stg_conversions", "value_micros"),
    )
    assert found["touch"] == (Origin("marts.fct_credits", "touch"),)


def test_audits_and_reports_read_models_too() -> None:
    folder = settings().models_dir

    assert docs.askers(project(), folder, "metrics.campaign_roi") == ["report campaign_roi"]
    assert "audits.books_balance" in docs.askers(project(), folder, "metrics.reconciliation")


def test_all_sides_of_a_union_are_named() -> None:
    assert set(traced("metrics.campaign_cube")["slot"]) == {
        Origin("staging.stg_touches", "touched_at"),
        Origin("staging.stg_human_touches", "touched_at"),
        Origin("marts.fct_conversions", "occurred_at"),
    }


@pytest.mark.parametrize("name", [model.name for model in project().models])
def test_every_column_of_every_model_has_an_origin_that_exists(name: str) -> None:
    model, tables = project().model(name), lineage.shapes(project())["lake"]
    found = traced(name)
    read = {*model.refs, *model.sources}

    assert list(found) == [column.name for column in model.columns]
    assert {column for column, origins in found.items() if not origins} == COUNTED.get(name, set())
    for origin in {o for origins in found.values() for o in origins}:
        layer, _, table = origin.table.partition(".")
        assert origin.table in read
        assert origin.column in tables[layer][table]


def test_sql_that_cannot_be_followed_is_told_with_its_file(tmp_path: Path) -> None:
    model = replace(project().model("metrics.revenue"), body="select (", path=tmp_path / "x.sql")
    with pytest.raises(ModelError, match=r"x\.sql: no lineage: "):
        lineage.columns(model, lineage.shapes(project()))


def test_a_column_that_no_table_has_is_told() -> None:
    model = project().model("metrics.sends_per_minute")
    model = replace(model, body=model.body.replace("account_id", "acount_id"))
    with pytest.raises(ModelError, match="acount_id"):
        lineage.columns(model, lineage.shapes(project()))


def test_a_subquery_in_a_column_is_followed_and_one_in_a_condition_is_not() -> None:
    model = project().model("metrics.sends_per_minute")
    body = (
        "select creator_id, (select max(name) from lake.raw.fans f where f.creator_id ="
        " m.creator_id) as account_id from lake.raw.messages m"
        " where m.id in (select message_id from lake.raw.attempts)"
    )
    columns = {"creator_id": "VARCHAR | it", "account_id": "VARCHAR | it"}
    header = model.header.model_copy(update={"columns": columns})
    found = lineage.columns(replace(model, body=body, header=header), lineage.shapes(project()))

    assert found["creator_id"] == (Origin("raw.messages", "creator_id"),)
    assert Origin("raw.fans", "name") in found["account_id"]
    assert {o.table for o in found["account_id"]} <= {"raw.fans", "raw.messages"}

import re
from pathlib import Path

import pytest

from huntaze_pipeline.errors import ModelError
from huntaze_pipeline.settings import load
from huntaze_pipeline.warehouse import cases, goals, lake, models, raw

PROJECT = models.load(load().models_dir)
CASES = cases.load(load().models_dir / "tests")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.model}: {case.name}")
def test_a_model_gives_the_rows_that_its_case_expects(case: cases.Case) -> None:
    assert cases.run(PROJECT, case) == []


@pytest.mark.parametrize("model", PROJECT.models, ids=lambda model: model.name)
def test_an_empty_lake_gives_a_model_exactly_the_columns_of_its_header(model: models.Model) -> None:
    with lake.engine() as con:
        con.execute("attach ':memory:' as lake")
        for schema in lake.SCHEMAS:
            con.execute(f"create schema lake.{schema}")
        for name in (*model.refs, *model.sources):
            if name.startswith("raw."):
                columns = raw.TABLES[name.removeprefix("raw.")]
            else:
                columns = {c.name: c.type for c in PROJECT.model(name).columns}
            declared = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
            con.execute(f"create table lake.{name} ({declared})")
        got = con.execute(f"describe {model.sql}").fetchall()
    wanted = [
        (c.name, {"TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE"}.get(c.type, c.type))
        for c in model.columns
    ]
    assert [(row[0], row[1]) for row in got] == wanted


def test_no_model_asks_the_machine_for_the_time_or_for_chance() -> None:
    for model in PROJECT.models:
        words = model.sql.lower()
        assert not any(w in words for w in ("now()", "current_", "random(", "today("))


def test_a_case_that_expects_the_wrong_thing_fails_and_says_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(
        "name: wrong\nmodel: staging.stg_lines\n"
        "given: {raw.lines: [{creator_id: maya, line: 1}]}\nexpect: [{line: 2}]\n"
    )
    (case,) = cases.load(tmp_path)
    assert cases.run(PROJECT, case) == [
        "expected but not there: {'line': 2}",
        "there but not expected: {'line': 1}",
    ]


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("givn: {}\nexpect: []", "'givn' is none of its keys"),
        ("given: [1]\nexpect: []", "`given` is rows by table"),
        ("given: {}\nexpect: 5", "a row is a map of columns"),
        ("given: {raw.line: [{line: 1}]}\nexpect: []", "reads raw.lines, not 'raw.line'"),
        ("given: {raw.lines: [{line: one}]}\nexpect: []", "raw.lines: Conversion Error"),
        ("given: {raw.lines: [{lane: 1}]}\nexpect: []", "raw.lines has no column lane"),
    ],
)
def test_a_case_that_would_pass_for_the_wrong_reason_is_refused(
    tmp_path: Path, case: str, said: str
) -> None:
    (tmp_path / "wrong.yaml").write_text(f"name: wrong\nmodel: staging.stg_lines\n{case}\n")
    with pytest.raises(ModelError, match=re.escape(said)):
        cases.run(PROJECT, cases.load(tmp_path / "wrong.yaml")[0])


def test_the_shipped_goals_give_every_platform_a_click_window() -> None:
    windows = goals.declared(load().rules_dir).windows
    assert ("purchase", "*", "clicked", 432_000) in windows


def test_no_mart_reads_a_metric_for_the_hourly_tables_are_built_without_them() -> None:
    wrong = {
        model.name: ref
        for model in PROJECT.models
        for ref in model.refs
        if ref.startswith("metrics.") and not model.name.startswith("metrics.")
    }

    assert wrong == {}

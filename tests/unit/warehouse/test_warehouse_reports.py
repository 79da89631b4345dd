"""Report files: every fault is told with its place before anybody runs one."""

from pathlib import Path

import pytest

from huntaze_pipeline.errors import ModelError, NotFoundError
from huntaze_pipeline.settings import load as settings
from huntaze_pipeline.warehouse import models, reports, walls

MODEL = """/* ---
description: d
grain: [creator_id, n]
owner: team:data
materialization: table
columns:
  creator_id: VARCHAR | the tenant
  n: BIGINT | a number
  name: VARCHAR | a name
--- */
select 1
"""
HEADER = """/* ---
title: Numbers
description: d
owner: team:data
parameters:
  least: integer? | the least number
columns:
  n: count | Number | a number
chart:
  kind: bars
  x: n
  y: n
--- */
"""
PLAIN = HEADER.replace("parameters:\n  least: integer? | the least number\n", "")
BODY = "select n from ref('staging.numbers') where $least is null or n >= $least"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("staging", "reports"):
        (tmp_path / name).mkdir()
    (tmp_path / "staging" / "numbers.sql").write_text(MODEL)
    (tmp_path / "staging" / "untold.sql").write_text(
        MODEL.replace("creator_id, ", "").replace("  creator_id: VARCHAR | the tenant\n", "")
    )
    return tmp_path


def load(folder: Path, **texts: str) -> dict[str, reports.Report]:
    for name, text in texts.items():
        (folder / "reports" / f"{name}.sql").write_text(text)
    return reports.load(folder, models.load(folder))


def faults(folder: Path, **texts: str) -> list[str]:
    with pytest.raises(ModelError) as caught:
        load(folder, **texts)
    return [str(p).replace(f"{folder}/reports/", "") for p in caught.value.problems]


def test_a_report_says_what_it_takes_and_what_it_gives(folder: Path) -> None:
    found = load(folder, good=HEADER + BODY)["good"]

    assert found.refs == ("staging.numbers",)
    assert found.columns == (reports.Column("n", "count", "Number", "a number"),)
    (parameter,) = found.parameters
    assert (parameter.kind, parameter.required, parameter.default) == ("integer", False, None)
    assert found.header.chart[0].y == ["n"]


def test_the_models_do_not_take_reports_for_models(folder: Path) -> None:
    (folder / "reports" / "good.sql").write_text(HEADER + BODY)
    assert [m.name for m in models.load(folder).models] == ["staging.numbers", "staging.untold"]


def test_every_ref_holds_one_creators_rows_and_every_value_has_its_type(folder: Path) -> None:
    text = walls.statement(load(folder, good=HEADER + BODY)["good"])

    assert "(select * from lake.staging.numbers where creator_id = cast($creator as" in text
    assert text.count("cast($least as BIGINT)") == 2


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("select n from ref('staging.none')", "bad.sql:12: ref 'staging.none' is no model"),
        ("select\n n from ref('staging.numbers') where n > $x", "bad.sql:13: $x is no parameter"),
        ("select n from ref('staging.untold')", "creator_id"),
        ("select n from staging.numbers", "bad.sql:12: staging.numbers: write ref"),
        ("select n from lake.staging.numbers", "bad.sql:12: lake.staging.numbers: write ref"),
        ("select n from source('raw.events')", "source() is not allowed in a report"),
        ("select 1 as n from '/etc/passwd'", "bad.sql:12: /etc/passwd: write ref"),
        ("select 1 as n from read_csv('/etc/passwd')", "read_csv() is not allowed in a report"),
        ("select 1 as n from query_table('x')", "query_table() is not allowed"),
        ("select n, from ref('staging.numbers') where", "syntax error"),
        ("delete from ref('staging.numbers')", "SELECT"),
        ("select name as n from ref('staging.numbers')", "bad.sql:5: 'n' is VARCHAR: count needs"),
        ("select name from ref('staging.numbers')", "bad.sql:5: the SELECT has no column 'n'"),
        ("select n, 1 as m from ref('staging.numbers')", "bad.sql:5: column 'm' of the SELECT is"),
        ("select nn as n\nfrom ref('staging.numbers')", "nn"),
    ],
)
def test_a_fault_of_the_sql_is_told_with_its_line(folder: Path, body: str, told: str) -> None:
    assert told in faults(folder, bad=PLAIN + body)[0]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("title: Numbers\n", "", "title: Field required"),
        ("count | Number", "counts | Number", "bad.sql:7: columns: n: 'counts' is none of text"),
        ("n: count | Number | a number", "n: count", "bad.sql:7: columns: n: write `format"),
        ("integer? |", "whole? |", "bad.sql:5: parameters: least: 'whole' is none of text"),
        ("least: integer? | the least number", "creator: text | whose", "creator is bound"),
        ("kind: bars", "kind: pie", "bad.sql:9: chart.0.kind"),
        ("x: n", "x: m", "bad.sql:9: chart names 'm', which is no column"),
        ("kind: bars", "kind: heatmap", "bad.sql:9: a heatmap needs `colour`"),
        ("kind: bars", "kind: intervals", "bad.sql:9: intervals need `low` and `high`"),
        ("chart:", "tiles: {All: m}\nchart:", "bad.sql:9: tiles names 'm', which is no column"),
        ("title: Numbers", "title: [", "header:"),
        ("/* ---", "/*", "bad.sql:1: has no header"),
    ],
)  # fmt: skip
def test_a_fault_of_the_header_is_told_with_its_line(
    folder: Path, old: str, new: str, told: str
) -> None:
    found = faults(folder, bad=HEADER.replace(old, new, 1) + BODY)
    assert told in found[0]


def test_a_parameter_that_nothing_uses_is_told(folder: Path) -> None:
    found = faults(folder, bad=HEADER + "select n from ref('staging.numbers')")
    assert found == ["bad.sql:5: parameter 'least' is not used"]


def test_all_faults_of_all_files_come_at_once(folder: Path) -> None:
    broken = HEADER + BODY.replace("staging.numbers", "staging.none")
    found = faults(folder, a=broken, b="select 1", c=broken)
    assert {line.partition(":")[0] for line in found} == {"a.sql", "b.sql", "c.sql"}


def test_a_report_that_is_asked_for_by_a_wrong_name_is_guessed(folder: Path) -> None:
    load(folder, good=HEADER + BODY)
    with pytest.raises(NotFoundError, match="did you mean 'good'"):
        reports.one(folder, models.load(folder), "goood")


def test_one_report_is_read_although_another_is_broken(folder: Path) -> None:
    (folder / "reports" / "bad.sql").write_text("select 1")
    (folder / "reports" / "good.sql").write_text(HEADER + BODY)
    assert reports.one(folder, models.load(folder), "good").name == "good"


def test_a_common_table_is_no_way_around_the_wall(folder: Path) -> None:
    good = "with x as (select n from ref('staging.numbers')) select n from x where $least is null"
    assert load(folder, good=HEADER + good)["good"].refs == ("staging.numbers",)


def test_the_shipped_reports_load() -> None:
    folder = settings().models_dir
    found = reports.load(folder, models.load(folder))
    assert len(found) >= 8
    assert all(r.header.chart for r in found.values())


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("text", "o'hara; drop table x", "o'hara; drop table x"),
        ("integer", "12", 12), ("number", "1.5", 1.5), ("flag", "true", True),
    ],
)  # fmt: skip
def test_values_are_read_as_their_kind(kind: reports.Kind, text: str, value: object) -> None:
    assert walls.bound(reports.Parameter("p", kind, True, None, ""), text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("integer", "1; drop"), ("number", "nan"), ("number", "inf"), ("flag", "yes"),
        ("date", "31.3.2026"), ("instant", "2026-03-31T12:00"),
    ],
)  # fmt: skip
def test_a_value_of_another_kind_is_refused(kind: reports.Kind, text: str) -> None:
    with pytest.raises(ValueError, match=f"is no {kind}"):
        walls.bound(reports.Parameter("p", kind, True, None, ""), text)


def test_a_text_cannot_end_its_literal() -> None:
    assert walls.literal("o'hara") == "'o''hara'"
    assert walls.literal(None, "integer") == "null"

from datetime import UTC, date, datetime

import polars as pl
import pytest

from huntaze_pipeline.errors import ImportFileError
from huntaze_pipeline.measurement import mix, records
from huntaze_pipeline.measurement.attribution import Rules
from huntaze_pipeline.measurement.records import Fields

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["2026-03-02T12:00:00Z", "2026-03-02 12:00:00", "2026-03-02T13:00:00+01:00", "2026-03-02 12:00",
     "2026-03-02T12:00:00.000000+00:00", "2026-03-02T07:00-0500"],
)  # fmt: skip
def test_times_are_read_in_every_common_spelling(text):
    frame = pl.DataFrame({"fan_id": ["f"], "ts": [text], "channel": ["a"]})
    found, problems = records.touches(frame, Fields())
    assert problems == []
    assert found["ts"].to_list() == [NOON]


@pytest.mark.parametrize("value", [NOON, NOON.replace(tzinfo=None), date(2026, 3, 2)])
def test_times_of_parquet_files_are_utc(value):
    frame = pl.DataFrame({"fan_id": ["f"], "ts": [value], "channel": ["a"]})
    found = records.touches(frame, Fields())[0]["ts"].to_list()[0]
    assert found == (NOON if isinstance(value, datetime) else NOON.replace(hour=0))


def test_bad_rows_are_named_and_the_rest_is_kept():
    frame = pl.DataFrame({
        "fan_id": ["f", "", "f", "f"], "ts": ["2026-03-02", "2026-03-02", "soon", "2026-03-02"],
        "value": ["10.50", "1", "1", "lots"],
    })  # fmt: skip
    found, problems = records.conversions(frame, Fields())
    assert found["value_micros"].to_list() == [10_500_000]
    assert list(map(str, problems)) == [
        "conversions, row 2: has no fan",
        "conversions, row 3: has no readable time",
        "conversions, row 4: value is no number up to nine million million",
    ]


def test_touches_and_conversions_may_have_semicolons_between_their_columns(tmp_path):
    touches, conversions = tmp_path / "t.csv", tmp_path / "c.csv"
    touches.write_text("fan_id;ts;channel\nf;2026-01-01;email, old\n")
    conversions.write_text("fan_id;ts;value\nf;2026-01-02;5\n")
    (found,) = records.slices(touches, conversions, Fields())
    assert found.touches["channel"].to_list() == ["email, old"]
    assert found.conversions.height == 1
    assert found.problems == []


def test_paths_are_read_with_or_without_value_and_nulls():
    frame = pl.DataFrame({"path": ["a > b", " > ", "c"], "conversions": ["2", "1", "-1"]})
    found, problems = records.journeys(frame)
    assert found.steps == [("a", "b"), ()]
    assert found.nulls.tolist() == [0, 0]
    assert [str(p).split(":")[0] for p in problems] == ["paths, row 3"]


def test_what_an_empty_path_brought_is_nobodys():
    frame = pl.DataFrame({
        "path": ["a > b", None, "b"], "conversions": [1.5, 3, 4], "value": [3, 3, 1],
        "nulls": [1, 2, 0],
    })  # fmt: skip
    found, problems = records.journeys(frame)
    assert problems == []
    for worth in ("conversions", "rate"):
        totals = mix.from_paths(found, Rules(), worth)["totals"]
        assert totals["conversions"] == 8.5
        assert totals["attributed_conversions"] == 5.5
        assert totals["unattributed_conversions"] == 3
        assert (totals["value"], totals["unattributed"], totals["nulls"]) == (7, 3, 3)


def test_an_event_that_is_there_twice_is_one_touch():
    frame = pl.DataFrame({
        "fan_id": ["7", "7", "8", "7", "7"], "ts": ["2026-03-01"] * 5,
        "channel": ["x", "x", "x", "y", "y"], "event_id": ["e1", "e1", "e1", None, None],
    })  # fmt: skip
    found, problems = records.touches(frame, Fields())
    assert len(found) == 4
    assert [str(problem) for problem in problems] == ["touches, row 2: event e1 was there already"]


def test_whole_numbers_name_the_same_fan_also_where_gaps_made_fractions_of_them():
    frame = pl.DataFrame({
        "fan_id": [1.0, None, 2.5], "ts": ["2026-03-01"] * 3, "value": [1, 1, 1],
    })  # fmt: skip
    found, _ = records.conversions(frame, Fields())
    assert found["fan_id"].to_list() == ["1", "2.5"]


def test_fans_that_never_meet_are_told():
    touches = pl.DataFrame({"fan_id": ["1"], "ts": ["2026-03-01"], "channel": ["a"]})
    bought = pl.DataFrame({"fan_id": ["1.0"], "ts": ["2026-03-02"], "value": ["5"]})
    seen, _ = records.touches(touches, Fields())
    won, _ = records.conversions(bought, Fields())
    (note,) = mix.from_slices([(seen, won)], Rules())["notes"]
    assert "such as '1', conversions such as '1.0'" in note


def test_an_amount_that_is_too_large_is_told_so():
    frame = pl.DataFrame({"fan_id": ["f"], "ts": ["2026-03-02"], "value": ["1e15"]})
    _, problems = records.conversions(frame, Fields())
    assert "up to nine million million" in str(problems[0])


def test_missing_columns_are_all_named():
    with pytest.raises(ImportFileError) as caught:
        records.touches(pl.DataFrame({"fan_id": ["f"]}), Fields())
    assert len(caught.value.problems) == 2


def test_slices_of_fans_give_the_same_credit_as_the_whole(tmp_path):
    left = pl.DataFrame({
        "fan_id": [f"f{n % 7}" for n in range(60)],
        "ts": [f"2026-03-{1 + n % 9:02} 10:00" for n in range(60)],
        "channel": ["abc"[n % 3] for n in range(60)],
    })  # fmt: skip
    right = pl.DataFrame({
        "fan_id": [f"f{n}" for n in range(9)], "ts": ["2026-03-08"] * 9, "value": ["3.000001"] * 9,
    })  # fmt: skip
    left = pl.concat([left, pl.DataFrame({"fan_id": [""], "ts": ["x"], "channel": ["a"]})])
    left.write_csv(tmp_path / "touches.csv")
    right.write_parquet(tmp_path / "conversions.parquet")

    def told(most):
        files = tmp_path / "touches.csv", tmp_path / "conversions.parquet"
        slices = list(records.slices(*files, Fields(), most))
        report = mix.from_slices([(s.touches, s.conversions) for s in slices], Rules())
        return len(slices), [str(p) for s in slices for p in s.problems], report

    whole, parts = told(100), told(10)
    assert (whole[0], parts[0]) == (1, 7)
    assert whole[1] == parts[1] == ["touches, row 61: has no fan"]
    assert whole[2]["totals"]["attributed_conversions"] == 7
    for name in ("models", "influenced", "totals", "chain_probability"):
        assert _rounded(parts[2][name]) == _rounded(whole[2][name])


def _rounded(value):
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    return round(value, 9)


@pytest.mark.parametrize(
    ("name", "content"),
    [("touches.csv", ""), ("touches.parquet", "x"), ("touches.csv", "a,b\n1,2\n")],
)
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(ImportFileError, match=r"cannot be read|is not in the file"):
        list(records.slices(tmp_path / name, tmp_path / name, Fields()))

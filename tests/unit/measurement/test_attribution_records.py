from datetime import UTC, date, datetime

import polars as pl
import pytest

from huntaze_pipeline.errors import ImportFileError
from huntaze_pipeline.measurement import records
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
        "conversions, row 4: value is no number",
    ]


def test_paths_are_read_with_or_without_value_and_nulls():
    frame = pl.DataFrame({"path": ["a > b", " > ", "c"], "conversions": ["2", "1", "-1"]})
    found, problems = records.journeys(frame)
    assert found.steps == [("a", "b")]
    assert found.nulls.tolist() == [0]
    assert [str(p).split(":")[0] for p in problems] == ["paths, row 2", "paths, row 3"]


def test_missing_columns_are_all_named():
    with pytest.raises(ImportFileError) as caught:
        records.touches(pl.DataFrame({"fan_id": ["f"]}), Fields())
    assert len(caught.value.problems) == 2

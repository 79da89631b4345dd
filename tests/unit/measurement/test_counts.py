import polars as pl
import pytest

from huntaze_pipeline.errors import ImportFileError
from huntaze_pipeline.measurement import counts
from huntaze_pipeline.measurement.rows import Columns

BAD = """experiment_id,variant,n,sum
a,x,100,10
a,y,0,0
a,z,100,12
b,x,100,200
b,y,100,nan
b,z,many,3
c,x,1000,10
c,y,1000,12.5
,y,10,1
d,x,50,1
"""


def load(rows, columns=None, **options):
    return counts.load(pl.DataFrame(rows), columns or Columns(), **options)


def arm(experiment, variant, n, total, **more):
    return {"experiment_id": experiment, "variant": variant, "n": n, "sum": total, **more}


def test_more_recipients_than_can_be_counted_exactly_are_refused():
    with pytest.raises(ImportFileError, match="1e\\+30: more than can be counted exactly"):
        load([arm("a", "x", 1e30, 1e29), arm("a", "y", 1e30, 2e29)])


def test_bad_rows_are_named_and_the_rest_is_kept(tmp_path):
    (tmp_path / "arms.csv").write_text(BAD)
    found = counts.load(counts.read(tmp_path / "arms.csv"), Columns())
    assert found.experiments == ["a"]
    assert found.variants == ["x", "z"]
    assert [str(problem).split(" (")[0] for problem in found.problems[:6]] == [
        "row 2", "row 4", "row 5", "row 6", "row 8", "row 9",
    ]  # fmt: skip
    assert str(found.problems[0]) == "row 2 (experiment a, variant y): n is 0: must be above 0"
    assert "experiment d: has one arm only: nothing to compare" in map(str, found.problems)
    assert found.dropped == 8


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet", "jsonl", "json"])
def test_every_kind_of_file_gives_the_same_arms(tmp_path, suffix):
    frame, path = (
        pl.DataFrame([arm("a", "x", 100, 10), arm("a", "y", 90, 12)]),
        tmp_path / f"t.{suffix}",
    )
    write = {
        "csv": frame.write_csv, "tsv": lambda p: frame.write_csv(p, separator="\t"),
        "parquet": frame.write_parquet, "jsonl": frame.write_ndjson, "json": frame.write_json,
    }[suffix]  # fmt: skip
    write(path)
    found = counts.load(counts.read(path), Columns())
    assert found.n.tolist() == [100, 90]
    assert found.sum.tolist() == [10, 12]


def test_a_file_that_cannot_be_read_says_why(tmp_path):
    broken = tmp_path / "arms.parquet"
    broken.write_text("no parquet")
    for path, what in [
        (broken, "cannot be read"),
        (tmp_path / "x.csv", "no such"),
        (tmp_path / "a.xls", "none of"),
    ]:
        with pytest.raises(ImportFileError, match=what):
            counts.read(path)


def test_a_missing_column_lists_those_that_are_there():
    with pytest.raises(ImportFileError, match="column n: is not in the file; it has: test, sum"):
        load([{"test": "a", "sum": 1}], Columns(experiment="test", variant=("row",)))


def test_several_columns_make_one_label():
    rows = [{"t": 1, "head": h, "eye": e, "n": 100, "sum": 9} for h, e in (("H", "E"), ("H", None))]
    found = load(rows, Columns(experiment="t", variant=("head", "eye")))
    assert found.variants == ["H | E", "H | -"]
    assert found.problems == []


def test_row_numbers_can_be_the_labels():
    rows = [{"t": t, "n": 100, "sum": 9} for t in (1, 1, 2, 2, 2)]
    assert load(rows, Columns(experiment="t", variant=("row",))).variants == [
        "1",
        "2",
        "1",
        "2",
        "3",
    ]


@pytest.mark.parametrize(
    ("way", "variants", "n"),
    [("number", ["x", "y", "x #2"], [100, 100, 50]), ("sum", ["x", "y"], [150, 100])],
)
def test_rows_with_the_same_label_are_never_mixed_up_silently(way, variants, n):
    rows = [arm("a", "x", 100, 9), arm("a", "y", 100, 9), arm("a", "x", 50, 9)]
    found = load(rows, duplicates=way)
    assert found.variants == variants
    assert found.n.tolist() == n
    assert "2 rows share this label" in str(found.problems[0])


def test_refused_duplicates_leave_the_other_arms():
    rows = [
        arm("a", "x", 100, 9),
        arm("a", "y", 100, 9),
        arm("a", "x", 50, 9),
        arm("a", "z", 80, 2),
    ]
    assert load(rows, duplicates="refuse").variants == ["y", "z"]


@pytest.mark.parametrize("mark", ["true", 1, "B"])
def test_the_control_comes_first(mark):
    rows = [arm("a", "A", 100, 9, control=None), arm("a", "B", 100, 9, control=mark)]
    frame = pl.DataFrame(rows, schema_overrides={"control": pl.String}, strict=False)
    assert counts.load(frame, Columns(control="control")).variants == ["B", "A"]


def test_looks_are_ordered_by_number_not_by_text():
    rows = [arm("a", v, 100 * k, 9 * k, look=k) for k in (10, 9, 1) for v in "xy"]
    assert load(rows, Columns(look="look")).looks == ["1", "9", "10"]


def test_arms_keep_their_place_in_every_look():
    rows = [arm("a", v, 100 * k, 9, look=k) for k, order in ((1, "xyz"), (2, "zyx")) for v in order]
    assert load(rows, Columns(look="look")).variants == ["x", "y", "z"] * 2


def test_a_control_named_once_is_the_control_of_all_looks():
    rows = [
        arm("a", v, 100 * k, 9, look=k, control=int(v == "y" and k == 2))
        for k in (1, 2)
        for v in "xy"
    ]
    found = load(rows, Columns(look="look", control="control"))
    assert found.variants == ["y", "x", "y", "x"]


def test_counts_that_fall_from_look_to_look_are_no_cumulative_counts():
    rows = [arm("a", v, n, 9, look=k) for k, n in ((1, 300), (2, 100)) for v in "xy"]
    found = load(rows, Columns(look="look"))
    assert "n falls at look 2: looks must hold cumulative counts" in str(found.problems[0])
    assert len(found.n) == 4


def test_experiments_may_be_interleaved():
    rows = [arm(e, v, 100, 9) for v in "xy" for e in "ba"]
    found = load(rows)
    assert found.experiments == ["b", "a"]
    assert found.starts.tolist() == [0, 2]


def test_two_controls_are_one_too_many():
    rows = [arm("a", v, 100, 9, control=1) for v in "xy"]
    found = load(rows, Columns(control="control"))
    assert str(found.problems[0]) == "experiment a: names 2 controls: the first one is taken"


def test_amounts_and_rates_may_lie_in_one_file():
    rows = [
        arm("a", "x", 100, 900.0, sum_squares=9000.0), arm("a", "y", 90, 999.0, sum_squares=1e5),
        arm("b", "x", 100, 9.0, sum_squares=None), arm("b", "y", 100, 9.0, sum_squares=None),
        arm("c", "x", 100, 9.0, sum_squares=9.0), arm("c", "y", 100, 9.0, sum_squares=None),
        arm("d", "x", 10, 100.0, sum_squares=1.0), arm("d", "y", 10, 100.0, sum_squares=1e9),
    ]  # fmt: skip
    found = load(rows, Columns(squares="sum_squares"))
    assert found.experiments == ["a", "b"]
    assert any("has no sum of squares" in str(problem) for problem in found.problems)
    assert any("below sum²/n" in str(problem) for problem in found.problems)


def test_nothing_left_is_an_error_with_every_reason():
    with pytest.raises(ImportFileError) as caught:
        load([arm("a", "x", 0, 0), arm("a", "y", 10, 99)])
    assert len(caught.value.problems) == 2


def test_a_control_that_is_no_arm_is_told():
    rows = [arm("a", v, 100, 9, control=c) for v, c in (("x", "z"), ("y", "no"))]
    found = load(rows, Columns(control="control"))
    assert list(map(str, found.problems)) == ["experiment a: its control 'z' is none of its arms"]
    named = [arm("a", v, 100, 9, control="B") for v in "AB"]
    assert load(named, Columns(control="control")).problems == []


@pytest.mark.parametrize(
    ("weights", "what"),
    [((None, 1.0), "without a weight: an equal split is taken"), ((0.0, 0.0), "zero only")],
)
def test_weights_from_which_no_split_follows_are_told(weights, what):
    rows = [arm("a", v, 100, 9, weight=w) for v, w in zip("xy", weights, strict=True)]
    assert what in str(load(rows, Columns(weight="weight")).problems[0])


def test_refused_duplicates_leave_an_experiment_without_a_verdict():
    rows = [arm("a", v, 100, 9) for v in "xxyz"]
    assert load(rows, duplicates="refuse").unread == {"a": "row 1 (experiment a, variant x)"}
    assert load(rows, duplicates="sum").unread == {}

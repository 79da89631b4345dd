"""Suites as files: every fault at once, with its line and the nearest right name."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from huntaze_pipeline.errors import ModelError
from huntaze_pipeline.quality import suite, vocabulary
from huntaze_pipeline.quality.formula import Formula, resolve

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SOUND = """description: d
columns:
  fan_id: VARCHAR
  at: TIMESTAMPTZ
expectations:
  - {type: ExpectColumnValuesToNotBeNull, column: fan_id}
"""


def read(folder: Path, text: str) -> suite.Suite:
    (folder / "odd.yaml").write_text(text)
    return suite.load(folder / "odd.yaml")


def faults(folder: Path, text: str) -> list[str]:
    with pytest.raises(ModelError) as raised:
        read(folder, text)
    return [str(p).replace(f"{folder}/", "") for p in raised.value.problems]


def test_every_suite_that_ships_can_be_read() -> None:
    names = [suite.load(path).name for path in suite.every()]
    assert names == ["audience", "campaigns", "costs", "events", "fans"]


def test_all_faults_come_at_once_with_line_and_nearest_name(tmp_path: Path) -> None:
    text = """descripton: d
columns:
  fan_id: VARCHAR
  at: 12
derive:
  late: at +
expectations:
  - {type: ExpectColumnValuesToNotBeNul, column: fan_id}
  - {type: ExpectColumnValuesToNotBeNull, column: fan}
  - {type: ExpectColumnValuesToBeBetween, column: at, severity: eror}
  - {type: ExpectColumnValuesToBeBetween, column: at, max_value: tomorrow}
  - {type: ExpectColumnValuesToMatchRegex, column: fan_id, regexp: x}
  - {type: ExpectColumnMeanToBeBetween, column: at, min_value: 1}
  - {type: ExpectColumnValuesToNotBeNull, column: fan_id, mostly: 2, where: lat}
  - {type: ExpectColumnValuesToBeBetween, column: at, min_value: now + 1}
  - just text
"""
    found = faults(tmp_path, text)
    shown = "\n".join(found)
    for line, what in (
        (1, "unknown key 'descripton'; did you mean 'description'?"),
        (4, "at: 12 is no type"),
        (6, "late: 'at +' is no SQL expression"),
        (8, "'ExpectColumnValuesToNotBeNul' does not exist; did you mean"),
        (9, "no column 'fan'; did you mean 'fan_id'?"),
        (10, "severity: 'eror'; did you mean 'error'?"),
        (10, "needs min_value or max_value"),
        (11, "'tomorrow' is no number, date, `now + 1d`"),
        (12, "takes no 'regexp'; did you mean 'regex'?"),
        (12, "needs 'regex'"),
        (13, "ExpectColumnMeanToBeBetween can only warn"),
        (14, "mostly: 2 is no share"),
        (14, "where: no column 'lat'; did you mean 'late'?"),
        (15, "'1' is no duration"),
        (16, "an expectation is {type: …, column: …}"),
    ):
        assert any(f.startswith(f"odd.yaml:{line}: ") and what in f for f in found), (what, shown)


def test_what_is_said_twice_is_a_fault_for_results_are_told_apart_by_it(tmp_path: Path) -> None:
    twice = SOUND + "  - {type: ExpectColumnValuesToNotBeNull, column: fan_id}\n"
    assert faults(tmp_path, twice) == [
        "odd.yaml:7: ExpectColumnValuesToNotBeNull of fan_id is said twice"
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "a suite has description"), ("[]", "a suite has description"),
        ("a: [", "is not YAML"),
        ("description: d\ncolumns: {a: VARCHAR}\n", "a list with at least"),
        (SOUND + "description: e\n", "written twice"),
        (SOUND.replace("fan_id}", "fan_id, regex: '('}"), "takes no 'regex'"),
        (SOUND.replace("NotBeNull, column: fan_id", "MatchRegex, column: fan_id, regex: '('"),
         "'(' is none"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_suite_says_so(tmp_path: Path, text: str, fault: str) -> None:
    assert fault in "\n".join(faults(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone\.yaml: cannot be read"):
        suite.load(tmp_path / "gone.yaml")


def test_a_change_of_the_file_is_read_again(tmp_path: Path) -> None:
    import os

    first = read(tmp_path, SOUND)
    second = SOUND.replace("description: d", "description: another")
    (tmp_path / "odd.yaml").write_text(second)
    os.utime(tmp_path / "odd.yaml", ns=(1, 1))
    assert (first.description, suite.load(first.path).description) == ("d", "another")


def test_a_folder_without_a_suite_falls_back_on_the_one_that_ships(tmp_path: Path) -> None:
    assert suite.find("events", tmp_path) == suite.shipped() / "events.yaml"
    (tmp_path / "quality").mkdir()
    (tmp_path / "quality" / "events.yaml").write_text(SOUND)
    assert suite.find("events", tmp_path).parent == tmp_path / "quality"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("now + 1d", NOON + timedelta(days=1)), ("now - 90s", NOON - timedelta(seconds=90)),
        ("now", NOON), ("usual * 3 + 50", 350), ("usual*0.2-50", -30), ("usual", 100),
    ],
)  # fmt: skip
def test_a_formula_is_computed_from_what_is_known_of_the_batch(text: str, value: object) -> None:
    assert resolve(Formula.read(text), {"now": NOON, "usual": 100}) == value


def test_a_bound_without_its_parameter_binds_nothing(tmp_path: Path) -> None:
    sized = read(tmp_path, SOUND + "  - {type: ExpectTableRowCountToBeBetween, min_value: usual}\n")
    assert len(sized.resolved({}).expectations) == 1
    assert len(sized.resolved({"usual": 3}).expectations) == 2


def test_a_date_is_its_first_instant_where_the_column_is_a_time(tmp_path: Path) -> None:
    text = SOUND + "  - {type: ExpectColumnValuesToBeBetween, column: at, min_value: 2000-01-01}\n"
    assert read(tmp_path, text).expectations[1].arguments["min_value"] == datetime(
        2000, 1, 1, tzinfo=UTC
    )
    assert Formula.read(date(2000, 1, 1)) == date(2000, 1, 1)


def test_the_names_are_those_of_the_installed_library() -> None:
    assert set(vocabulary.WORDS) <= set(vocabulary.library())
    assert "ExpectColumnMeanToBeBetween" in vocabulary.library()

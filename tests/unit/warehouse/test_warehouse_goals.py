from pathlib import Path

import pytest

from huntaze_pipeline.errors import ModelError
from huntaze_pipeline.warehouse.goals import load


def goals(folder: Path, windows: str) -> Path:
    (folder / "goals.yaml").write_text(
        f"goals:\n  purchase:\n    events: [purchase]\n    windows: {windows}\n"
    )
    return folder


def test_windows_become_seconds(tmp_path: Path) -> None:
    found = load(goals(tmp_path, "{default: {clicked: 5d}, email: {opened: 90m}}"))
    assert [tuple(window) for window in found] == [
        ("purchase", "*", "clicked", 432_000),
        ("purchase", "email", "opened", 5_400),
    ]


def test_without_a_file_nothing_earns_credit(tmp_path: Path) -> None:
    assert load(tmp_path) == []


@pytest.mark.parametrize(
    "windows",
    ["{default: {clicked: 5}}", "{fax: {clicked: 5d}}", "{default: {seen: 5d}}", "[", "3"],
)
def test_a_fault_names_the_file(tmp_path: Path, windows: str) -> None:
    with pytest.raises(ModelError, match=r"goals\.yaml"):
        load(goals(tmp_path, windows))

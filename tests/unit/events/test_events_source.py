"""Files by their names: what is none of ours is said to be, and read by nobody."""

from pathlib import Path

import pytest

from huntaze_pipeline.errors import ImportFileError
from huntaze_pipeline.events.source import sources


@pytest.mark.parametrize("line", ['{"who": "ana"}', "[1]", "who,paid", "\xff"])
def test_a_file_that_only_has_the_name_of_held_back_rows_is_refused(
    tmp_path: Path, line: str
) -> None:
    path = tmp_path / "mine.rows.jsonl"
    path.write_text(line + "\n", encoding="latin-1")

    with pytest.raises(ImportFileError, match="held back"), sources([str(path)]):
        pass


def test_held_back_rows_keep_the_name_of_their_file(tmp_path: Path) -> None:
    path = tmp_path / "held.rows.jsonl"
    path.write_text('{"file": "orders.csv", "row": 3, "raw": {}}\n')

    with sources([str(path)]) as found:
        assert [source.name for source in found] == ["orders.csv"]

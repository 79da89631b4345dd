"""The append-only file: nothing is lost, half a line is cut off, one writer."""

from pathlib import Path

import pytest

from huntaze_pipeline.errors import ServiceError
from huntaze_pipeline.local.simulator.journal import Journal


def test_what_was_written_is_read_again_by_the_next_process(tmp_path: Path) -> None:
    first = Journal(tmp_path / "log.jsonl")
    offsets = [first.append({"n": number, "text": "é" * number}) for number in range(3)]
    first.close()
    second = Journal(tmp_path / "log.jsonl")
    assert [offset for offset, _ in second.lines()] == offsets
    assert second.read(offsets[1])[0] == {"n": 1, "text": "é"}
    second.close()


@pytest.mark.parametrize("keep", [0, 1, 3])
def test_half_a_last_line_is_cut_off(tmp_path: Path, keep: int) -> None:
    journal = Journal(tmp_path / "log.jsonl")
    for number in range(keep):
        journal.append({"n": number})
    journal.close()
    with journal.path.open("a") as file:
        file.write('{"n": 99, "te')
    mended = Journal(journal.path)
    mended.append({"n": "next"})
    assert [line["n"] for _, line in mended.lines()] == [*range(keep), "next"]
    mended.close()


def test_a_line_longer_than_one_read_comes_back_whole(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "log.jsonl")
    offset = journal.append({"text": "x" * 100_000})
    following = journal.append({"n": 2})
    line, after = journal.read(offset)
    assert (len(line["text"]), after) == (100_000, following)
    journal.close()


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "log.jsonl")
    with pytest.raises(ServiceError, match="another simulator"):
        Journal(tmp_path / "log.jsonl")
    journal.close()


def test_what_is_put_aside_is_kept_under_a_free_number(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "log.jsonl")
    for number in (1, 2):
        journal.append({"n": number})
        journal.rotate()
    assert list(journal.lines()) == []
    assert (tmp_path / "log.1.jsonl").read_text() == '{"n":1}\n'
    assert (tmp_path / "log.2.jsonl").read_text() == '{"n":2}\n'
    journal.close()

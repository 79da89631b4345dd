"""Lists of fans beside the rules: read whole, or every fault with its line."""

from pathlib import Path

import pytest

from huntaze_pipeline.rulebook import loader, rosters
from huntaze_pipeline.source import read


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "rules" / "segments").mkdir(parents=True)
    return tmp_path / "rules" / "segments"


def problems(folder, content, name="fans.csv"):
    (folder / "a.yaml").write_text(f"name: A\nfile: {name}\n")
    if content is not None:
        (folder / Path(name).name).write_bytes(content)
    source = read(folder / "a.yaml", folder.parent)
    rosters.read(source, folder.parent)
    return source, [str(problem) for problem in source.problems]


@pytest.mark.parametrize(
    ("name", "content", "ids"),
    [
        ("fans.csv", b"name,fan_id\nA,2\nB,1\n,\nC,2\n", ["1", "2"]),
        ("fans.csv", b'\xef\xbb\xbf"a,b"\nx\n', ["a,b", "x"]),
        ("fans.txt", b"x,y\r\n\r\nz\n", ["x,y", "z"]),
    ],
)
def test_a_list_is_its_ids_each_once(folder, name, content, ids):
    source, faults = problems(folder, content, name)
    assert (source.data, faults) == ({"name": "A", "fans": ids}, [])


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("fans.csv", None, "a.yaml:2:7: fans.csv: no such file beside the rule"),
        ("fans.csv", b"name,fan_id\nA,\n", "fans.csv:2: has no fan_id"),
        ("fans.csv", b"\xff\xfe", "cannot be read as UTF-8"),
        ("fans.xls", b"x", "end its name in .csv or .txt"),
        ("../../out.csv", None, "lies outside the rules folder"),
        ("fans.txt", b"a\x07b\n", "fans.txt:1: is no fan id"),
    ],
)
def test_what_is_wrong_with_a_list_is_told_at_the_rule(folder, name, content, fault):
    source, faults = problems(folder, content, name)
    assert len(faults) == 1
    assert fault in faults[0]
    assert source.data["file"] == name


def test_a_segment_from_a_file_is_loaded_and_a_list_that_nobody_reads_is_a_fault(folder):
    problems(folder, b"fan-1\nfan-2\n")
    rule, faults = loader.one("segments", folder / "a.yaml")
    assert (rule.fans, rule.file, faults) == (("fan-1", "fan-2"), None, [])
    (folder / "other.csv").write_text("fan-3\n")
    told = [str(problem) for problem in loader.drafted(folder.parent).problems]
    assert any("other.csv:1:1: is no rule file" in fault for fault in told)
    assert not any("/fans.csv" in fault for fault in told)

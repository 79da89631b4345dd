"""Lists of fans beside the rules: the file that a static segment names, one id a line.

A `.csv` may have a header; its column `fan_id` is taken then, else its first. Everything that is
wrong with the list is told at the rule's `file`, with the list's line.
"""

import csv
from pathlib import Path

from huntaze_pipeline.source import Source

SUFFIXES = (".csv", ".txt")
MOST = 200_000
"""Fans in a list; who has more gives them a tag and asks for it."""
_HEADER = "fan_id"
_LONGEST = 200
_TOLD = 5


def read(source: Source, root: Path) -> None:
    """Put the ids of a segment's `file` in the place of its name; faults are in `source.problems`.

    Args:
        source: the segment's rule file.
        root: the rules folder, which a list may not leave.
    """
    data = source.data
    if not isinstance(data, dict) or not isinstance(data.get("file"), str) or "fans" in data:
        return
    path = source.path.parent / data["file"]
    faults = _faults(path, root)
    ids: list[str] = []
    if not faults:
        ids, faults = _ids(path)
    for fault in faults[:_TOLD]:
        source.problems.append(source.problem(("file",), f"{data['file']}{fault}"))
    if not faults:
        source.data = {k: v for k, v in data.items() if k != "file"} | {"fans": ids}


def named(source: Source) -> set[Path]:
    """Return the list that a rule file names, before `read` puts its ids there."""
    data = source.data
    if isinstance(data, dict) and isinstance(data.get("file"), str):
        return {(source.path.parent / data["file"]).resolve()}
    return set()


def _faults(path: Path, root: Path) -> list[str]:
    if path.suffix not in SUFFIXES:
        return [f": end its name in {' or '.join(SUFFIXES)}"]
    if not path.resolve().is_relative_to(root.resolve()):
        return [": lies outside the rules folder"]
    return [] if path.is_file() else [": no such file beside the rule"]


def _ids(path: Path) -> tuple[list[str], list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.reader(stream)) if path.suffix == ".csv" else _lines(stream.read())
    except (OSError, ValueError, csv.Error) as error:
        return [], [f": cannot be read as UTF-8 text: {error}"]
    head = [cell.strip().lower() for cell in rows[0]] if rows else []
    column = head.index(_HEADER) if _HEADER in head else 0
    start = 1 if _HEADER in head else 0
    ids: dict[str, int] = {}
    faults = []
    for line, row in enumerate(rows[start:], start + 1):
        fan = row[column].strip() if len(row) > column else ""
        if not fan and any(cell.strip() for cell in row):
            faults.append(f":{line}: has no {_HEADER}")
        elif len(fan) > _LONGEST or not fan.isprintable():
            faults.append(f":{line}: is no fan id")
        elif fan:
            ids.setdefault(fan, line)
    if len(ids) > MOST:
        faults.append(f": holds {len(ids):,} fans; at most {MOST:,}, use a tag for more")
    return sorted(ids), faults


def _lines(text: str) -> list[list[str]]:
    return [[line] for line in text.splitlines()]

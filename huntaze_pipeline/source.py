"""Files that people write, as text: plain data plus the place (line and column) of every value.

Belongs here: reading YAML and JSON, and finding places again. What the data means is up to readers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.reader import Reader

from huntaze_pipeline.errors import Problem

Where = tuple[str | int, ...]
LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""In C where the wheel has it: ten times as fast as PyYAML's own."""
_MAX_BYTES = 1_000_000
_MAX_NODES = 50_000
_MAX_DEPTH = 300


@dataclass
class Source:
    """One file: its data, and where each part of it stands."""

    path: Path
    name: str
    """How the file is called in messages: relative to the rules folder's parent."""
    data: Any = None
    lines: list[str] = field(default_factory=list)
    keys: dict[Where, yaml.Mark] = field(default_factory=dict)
    values: dict[Where, tuple[yaml.Mark, yaml.Mark]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    torn: set[Where] = field(default_factory=set)
    """Values that could not be read, which is told; they stand here as they were written."""
    former: Mapping[str, Where] = field(default_factory=dict)
    """Keys that were renamed after reading: where each stands in the file, from the same level."""

    def at(self, mark: "yaml.Mark | None", what: str) -> Problem:
        """Return a problem of this file at a mark (the file's first character when None)."""
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        return Problem(f"{self.name}:{line}:{column}", what)

    def problem(
        self, path: Sequence[str | int], what: str, needle: str = "", nth: int = 0
    ) -> Problem:
        """Return a problem of the value at `path`; `needle` narrows it to a word inside it.

        `nth` says how often the word stands there before the place that is meant.
        """
        known = self._nearest(tuple(path))
        if needle and known in self.values:
            found = self._find(*self.values[known], needle, nth)
            if found:
                return Problem(f"{self.name}:{found[0]}:{found[1]}", what)
        mark = self.values[known][0] if known in self.values else None
        return self.at(mark, what)

    def key_problem(self, path: Sequence[str | int], what: str) -> Problem:
        """Return a problem of the key that `path` ends with."""
        mark = self.keys.get(tuple(path))
        return self.at(mark, what) if mark else self.problem(path, what)

    def label(self, path: Sequence[str | int]) -> str:
        """Return the name that the file itself uses for the last key on a path."""
        found = self._nearest(tuple(path)) or path
        return next((part for part in reversed(found) if isinstance(part, str)), "")

    def _nearest(self, path: Where) -> Where:
        """Drop the parts that are not in the file (names of union members, missing keys)."""
        found: Where = ()
        for part in path:
            written = self.former.get(str(part), (part,))
            for place in ((*found, part), (*found, *written)):
                if place in self.values:
                    found = place
                    break
        return found

    def _find(
        self, start: yaml.Mark, end: yaml.Mark, needle: str, nth: int
    ) -> tuple[int, int] | None:
        last = None
        for number in range(start.line, min(end.line + 1, len(self.lines))):
            begin = start.column if number == start.line else 0
            column = self.lines[number].find(needle, begin)
            while column >= 0:
                last = number + 1, column + 1
                if nth == 0:
                    return last
                nth -= 1
                column = self.lines[number].find(needle, column + len(needle))
        return last


def read(path: Path, root: Path) -> Source:
    """Read one file; faults of its text are in `problems`.

    `data` is None when it cannot be read at all, so that what is right is checked all the same.
    """
    source = Source(path, _label(path, root))
    text = _text(source)
    return source if text is None else _compose(source, text)


def _text(source: Source) -> str | None:
    """Return what the file holds; None when it cannot be read, with the reason as its problem."""
    path = source.path
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for, for ever
            what = "is a folder" if path.is_dir() else "is no ordinary file"
            source.problems.append(source.at(None, f"{what}; nothing is read from it"))
            return None
        raw = path.read_bytes()
    except OSError as error:
        there = f"cannot be read: {error.strerror}"
        what = "is missing" if isinstance(error, FileNotFoundError) else there
        source.problems.append(source.at(None, what))
        return None
    if len(raw) > _MAX_BYTES:
        what = f"holds {len(raw)} bytes; a rule file has at most {_MAX_BYTES}"
        source.problems.append(source.at(None, what))
        return None
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8")
        what = f"is no UTF-8 text: the byte 0x{raw[error.start]:02x} is none of it"
        source.problems.append(_after(source, before, what))
        return None
    control = Reader.NON_PRINTABLE.search(text.removeprefix("\ufeff"))
    if control is not None:
        what = f"holds the control character U+{ord(control.group()):04X}; write it as an escape"
        source.problems.append(_after(source, text[: control.start()], what))
        return None
    return text


def _after(source: Source, before: str, what: str) -> Problem:
    """Return a problem of the character that follows some text."""
    line = before.count("\n") + 1
    return Problem(f"{source.name}:{line}:{len(before) - before.rfind(chr(10))}", what)


def _label(path: Path, root: Path) -> str:
    return str(path.relative_to(root.parent)) if path.is_relative_to(root.parent) else str(path)


def _compose(source: Source, text: str) -> Source:
    source.lines = text.splitlines()
    try:
        if _deep(text):
            raise RecursionError
        node = yaml.compose(text, Loader=LOADER)
        source.data = _Walk(source).value(node, ()) if node is not None else {}
    except yaml.MarkedYAMLError as error:
        what = f"is no valid YAML: {_spoken(error, source.lines)}"
        source.problems.append(source.at(error.problem_mark or error.context_mark, what))
    except (yaml.YAMLError, RecursionError) as error:
        deep = isinstance(error, RecursionError)
        reason = "nested too deeply, or in itself" if deep else str(error).splitlines()[0]
        source.problems.append(source.at(None, f"is no valid YAML: {reason}"))
    else:
        return source
    source.data = None
    return source


def _spoken(error: yaml.MarkedYAMLError, lines: list[str]) -> str:
    """Return what is wrong with a text, where the parser's own words say too little."""
    told = error.problem or error.context or "cannot be parsed"
    line = error.problem_mark.line if error.problem_mark else len(lines)
    if "any token" in told and line < len(lines) and "\t" in lines[line]:
        return "indent with spaces, not with a tab"
    if "another document" in told:
        return "a second document begins here (`---`); a file holds one"
    return told


def _deep(text: str) -> bool:
    """Say whether values are nested so deeply that composing them could end the process.

    Looked at closely only where the text could be: most files are not worth a second reading.
    """
    opened = sum(text.count(sign) for sign in ("[", "{", "- ", "? ", ": "))
    if opened <= _MAX_DEPTH:
        return False
    depth = 0
    for event in yaml.parse(text, Loader=LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            return True
    return False


class _Walk:
    """Turns YAML nodes into plain data and notes where each one stands."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.count = 0
        self.scalars = yaml.SafeLoader("")

    def value(self, node: yaml.Node, path: Where) -> Any:
        self.count += 1
        if self.count > _MAX_NODES:
            raise yaml.YAMLError(f"holds more than {_MAX_NODES} values (aliases count each time)")
        self.source.values[path] = (node.start_mark, node.end_mark)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, i)) for i, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _scalar(self, node: yaml.Node, path: Where) -> Any:
        if node.tag == "tag:yaml.org,2002:int" and ":" in node.value:
            return node.value  # 22:00 is a time of day, not YAML 1.1's base-60 number
        try:
            return self.scalars.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            what = getattr(error, "problem", None) or str(error)
            if "constructor" in what:
                what = f"the tag {node.tag.removeprefix('tag:yaml.org,2002:')!r} is not known here"
            told = f"{node.value!r} cannot be read: {what}"
            self.source.problems.append(self.source.at(node.start_mark, told))
            self.source.torn.add(path)
            return node.value

    def _mapping(self, node: yaml.MappingNode, path: Where) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node)
            if key in result:
                what = f"{key!r} is written twice in the same place; keep one"
                self.source.problems.append(self.source.at(key_node.start_mark, what))
            self.source.keys[(*path, key)] = key_node.start_mark
            result[key] = self.value(value_node, (*path, key))
        return result

    def _key(self, node: yaml.Node) -> str:
        """Keys are the text as written: `on`, `no` and `1` stay what they look like."""
        return str(node.value) if isinstance(node, yaml.ScalarNode) else "?"

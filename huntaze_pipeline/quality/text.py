"""A suite's file as plain data that remembers on which line each part of it stands."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from huntaze_pipeline.errors import ModelError, Problem
from huntaze_pipeline.source import LOADER

Where = tuple[str | int, ...]


@dataclass(slots=True)
class Text:
    """A YAML document and the line of every key and item."""

    path: Path
    data: Any = None
    lines: dict[Where, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> "Text":
        """Read a file.

        Raises:
            ModelError: it cannot be read, or is not YAML.
        """
        found = cls(path)
        try:
            root = yaml.compose(path.read_text(encoding="utf-8"), Loader=LOADER)
            found.data = found._value(root, ()) if root else None
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = mark.line + 1 if mark else 1
            what = getattr(error, "problem", None) or str(error)
            raise ModelError([Problem(f"{path}:{line}", f"is not YAML: {what}")]) from None
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError([Problem(str(path), f"cannot be read: {error}")]) from None
        return found

    def line(self, where: Where) -> int:
        """Return the line of a part, or of the nearest one around it."""
        while where and where not in self.lines:
            where = where[:-1]
        return self.lines.get(where, 1)

    def complain(self, where: Where, what: str) -> None:
        """Add a fault of the part at `where`."""
        self.problems.append(Problem(f"{self.path}:{self.line(where)}", what))

    def _value(self, node: yaml.Node, where: Where) -> Any:
        self.lines.setdefault(where, node.start_mark.line + 1)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*where, n)) for n, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return {self._key(key, where): self._value(item, (*where, str(key.value)))
                    for key, item in node.value}  # fmt: skip
        loader = yaml.SafeLoader("")
        try:
            return loader.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            self.complain(where, f"cannot be read: {error}")
            return None

    def _key(self, node: yaml.Node, where: Where) -> str:
        inside = (*where, str(node.value))
        if inside in self.lines:
            self.complain(inside, f"{node.value!r} is written twice in the same place; keep one")
        self.lines[inside] = node.start_mark.line + 1
        return str(node.value)

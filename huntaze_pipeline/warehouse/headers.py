"""The YAML header of an SQL file, and its faults with the line of the file they stand on."""

import re
from pathlib import Path

import yaml
from pydantic import ValidationError

from huntaze_pipeline.errors import Problem

PATTERN = re.compile(r"^\s*/\*\s*---\n(.*?)\n---\s*\*/", re.S)


def line(text: str, key: str) -> int:
    """Return the line of the file on which a top-level key of the header stands; 1 without it."""
    for number, found in enumerate(text.splitlines(), start=2):
        if found.startswith(f"{key}:"):
            return number
    return 1


def faults(error: yaml.YAMLError | ValidationError, text: str, path: Path) -> list[Problem]:
    """Return what is wrong with a header, each fault with file:line."""
    if isinstance(error, yaml.YAMLError):
        mark = getattr(error, "problem_mark", None)
        number = 2 + (mark.line if mark else 0)
        return [Problem(f"{path}:{number}", f"header: {getattr(error, 'problem', error)}")]
    found = []
    for fault in error.errors():
        place = ".".join(map(str, fault["loc"]))
        what = str(fault["msg"]).removeprefix("Value error, ")
        number = line(text, str(fault["loc"][0]) if fault["loc"] else "")
        found.append(Problem(f"{path}:{number}", f"{place}: {what}" if place else what))
    return found

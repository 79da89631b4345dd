"""Problems of rule files as text, JSON, or annotations of a pull request on GitHub."""

import json
from collections.abc import Sequence

from huntaze_pipeline.errors import Problem

FORMATS = ("text", "json", "github")


def render(problems: Sequence[Problem], form: str) -> str:
    """Return the problems in one of `FORMATS`; as text, no problem is no text."""
    if form == "json":
        return json.dumps(
            [
                dict(zip(("file", "line", "column"), place(p), strict=True)) | {"message": p.what}
                for p in problems
            ],
            indent=2,
        )
    if form == "github":
        return "\n".join(_annotation(problem) for problem in problems)
    return "\n".join(map(str, problems))


def place(problem: Problem) -> tuple[str, int, int]:
    """Return file, line and column of a problem; 1:1 when it stands nowhere in particular."""
    parts = problem.where.rsplit(":", 2)
    if len(parts) == 3 and parts[1].isdigit() and parts[2].isdigit():
        return parts[0], int(parts[1]), int(parts[2])
    return problem.where, 1, 1


def _annotation(problem: Problem) -> str:
    file, line, column = place(problem)
    return f"::error file={_escaped(file, ':,')},line={line},col={column}::{_escaped(problem.what)}"


def _escaped(text: str, more: str = "") -> str:
    """Escape what GitHub reads as syntax: nobody's rule text becomes a workflow command."""
    for sign in ("%", "\r", "\n", *more):
        text = text.replace(sign, f"%{ord(sign):02X}")
    return text

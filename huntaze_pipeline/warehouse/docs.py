"""One page about all models: what each is, its columns, where they come from, its SQL, the graph.

Made from the headers and the SQL alone: no server, no network, no script in it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from huntaze_pipeline.errors import ModelError
from huntaze_pipeline.warehouse import lineage, reports
from huntaze_pipeline.warehouse.models import Model, Project

_WIDE, _HIGH, _GAP_X, _GAP_Y = 190, 26, 60, 10


def render(project: Project) -> str:
    """Return the page as HTML."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    shapes = lineage.shapes(project)
    return environment.get_template("docs.html.j2").render(
        models=[_described(project, model, shapes) for model in project.models],
        audits=project.audits,
        graph=graph(project),
    )


def readers(project: Project, name: str) -> list[str]:
    """Return the models that read a table."""
    return [model.name for model in project.models if name in model.reads]


def askers(project: Project, folder: Path, name: str) -> list[str]:
    """Return the audits and the reports (files beside the models) that read a table."""
    audits = [audit.name for audit in project.audits if name in audit.refs]
    return audits + [
        f"report {r}" for r, refs in reports.references(folder).items() if name in refs
    ]


def _described(project: Project, model: Model, shapes: lineage.Shapes) -> dict[str, Any]:
    try:
        origins = lineage.columns(model, shapes)
    except ModelError:
        origins = {}
    return {
        "name": model.name,
        "header": model.header,
        "columns": [(c, origins.get(c.name, ())) for c in model.columns],
        "reads": model.reads,
        "readers": readers(project, model.name),
        "known": {m.name for m in project.models},
        "sql": model.body,
    }


@dataclass(frozen=True, slots=True)
class Box:
    """A table in the picture."""

    name: str
    x: int
    y: int
    wide: int = _WIDE
    high: int = _HIGH


@dataclass(frozen=True, slots=True)
class Graph:
    """Boxes in columns by depth, and lines from what is read to what reads it."""

    boxes: list[Box]
    lines: list[tuple[int, int, int, int]]
    wide: int
    high: int


def graph(project: Project) -> Graph:
    """Lay the models out: sources left, each model right of all that it reads."""
    depth: dict[str, int] = {}
    for model in project.models:
        for source in model.sources:
            depth.setdefault(source, 0)
        depth[model.name] = 1 + max((depth[read] for read in model.reads), default=0)
    columns: dict[int, list[str]] = {}
    for name, level in sorted(depth.items()):
        columns.setdefault(level, []).append(name)
    boxes = {box.name: box for box in _boxes(columns)}
    lines = [
        (boxes[r].x + _WIDE, boxes[r].y + _HIGH // 2, boxes[m.name].x, boxes[m.name].y + _HIGH // 2)
        for m in project.models
        for r in m.reads
    ]
    wide = (max(columns, default=0) + 1) * (_WIDE + _GAP_X)
    high = max((len(names) for names in columns.values()), default=0) * (_HIGH + _GAP_Y)
    return Graph(list(boxes.values()), lines, wide, high + _GAP_Y)


def _boxes(columns: dict[int, list[str]]) -> Iterator[Box]:
    most = max((len(names) for names in columns.values()), default=0)
    for level, names in columns.items():
        above = (most - len(names)) * (_HIGH + _GAP_Y) // 2
        for place, name in enumerate(names):
            yield Box(name, level * (_WIDE + _GAP_X), above + place * (_HIGH + _GAP_Y) + _GAP_Y)

"""Reports as files: what their headers say, and every fault of them before anybody runs one.

A report is one SELECT in `dbt_like_sql/reports/<name>.sql` under a header between `/* ---` and
`--- */`. It reads models by `ref('schema.name')`, each of them already cut down to one creator
(`walls`). Running it and drawing it is `huntaze_pipeline.reports`' work.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from huntaze_pipeline.errors import ModelError, NotFoundError, Problem
from huntaze_pipeline.source import LOADER
from huntaze_pipeline.warehouse import headers
from huntaze_pipeline.warehouse.models import Project

FOLDER = "reports"
Format = Literal[
    "text", "count", "number", "money", "percent", "change", "date", "month", "instant",
    "weekday", "hour", "flag", "hidden",
]  # fmt: skip
"""How a column is written. `money` is micro-units of the row's `currency`, else the creator's;
`change` is a share with its sign; `weekday` is 1 (Monday) to 7; `hidden` is for other columns."""
Kind = Literal["text", "date", "instant", "integer", "number", "flag"]
SQL_TYPES: dict[Kind, str] = {
    "text": "VARCHAR", "date": "DATE", "instant": "TIMESTAMPTZ", "integer": "BIGINT",
    "number": "DOUBLE", "flag": "BOOLEAN",
}  # fmt: skip
_COLUMN = re.compile(r"^(\w+)\s*\|\s*([^|]+?)\s*(?:\|\s*(.+))?$", re.S)
_PARAMETER = re.compile(r"^(\w+)(\?|\s*=\s*(\S+))?\s*\|\s*(.+)$", re.S)
TILE = re.compile(r"^(\w+)(?:\s*/\s*(\w+)(\s*-\s*1)?)?$")
"""`column` (its sum), `a / b` (a share) or `a / b - 1` (a change)."""


class Mark(BaseModel):
    """A line that values are held against."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: float
    label: str = ""


class Chart(BaseModel):
    """One drawing of a report's rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["bars", "columns", "line", "area", "funnel", "heatmap", "intervals"]
    x: str
    """The column of the categories or of time."""
    y: list[str]
    """The columns of the values; several make as many series."""
    colour: str | None = None
    """A column whose values make the series; for a heat map the value of a cell."""
    multiples: str | None = None
    """A column whose values get a panel (`intervals`: a heading) each."""
    low: str | None = None
    high: str | None = None
    """Ends of the intervals around y."""
    stacked: bool = False
    reference: Mark | None = None
    title: str = ""
    top: int = 15
    """Categories that the drawing holds: the first of the rows; the table keeps all."""

    @field_validator("y", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @property
    def named(self) -> tuple[str, ...]:
        """Every column that it needs."""
        found = (self.x, *self.y, self.colour, self.multiples, self.low, self.high)
        return tuple(name for name in found if name)


class Header(BaseModel):
    """What a report says of itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    description: str
    owner: str
    parameters: dict[str, str] = {}
    """Name: `kind | meaning`, `kind? | meaning` (may be left out), `kind = default | meaning`."""
    columns: dict[str, str]
    """Name: `format | label`, or `format | label | definition`."""
    tiles: dict[str, str] = {}
    """Headline numbers over all rows; see `TILE`."""
    chart: list[Chart] = []

    @field_validator("chart", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return [value] if isinstance(value, dict) else value

    @field_validator("columns")
    @classmethod
    def _formatted(cls, columns: dict[str, str]) -> dict[str, str]:
        for name, text in columns.items():
            match = _COLUMN.match(text.strip())
            if match is None:
                raise ValueError(f"{name}: write `format | label` or `format | label | definition`")
            if match[1] not in get_args(Format):
                raise ValueError(f"{name}: {match[1]!r} is none of {', '.join(get_args(Format))}")
        return columns

    @field_validator("parameters")
    @classmethod
    def _typed(cls, parameters: dict[str, str]) -> dict[str, str]:
        for name, text in parameters.items():
            match = _PARAMETER.match(text.strip())
            if match is None:
                raise ValueError(f"{name}: write `kind | meaning`, `kind? | …` or `kind = 1 | …`")
            if match[1] not in SQL_TYPES:
                raise ValueError(f"{name}: {match[1]!r} is none of {', '.join(SQL_TYPES)}")
            if name == "creator":
                raise ValueError("creator is bound for every report; it need not be declared")
        return parameters


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a report."""

    name: str
    format: Format
    label: str
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One value that a reader may give."""

    name: str
    kind: Kind
    required: bool
    default: str | None
    meaning: str


@dataclass(frozen=True, slots=True)
class Report:
    """One report file."""

    name: str
    path: Path
    header: Header
    text: str
    """The SELECT as written, on the lines that it has in the file."""
    refs: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns in the order of the header."""
        return tuple(_column(*item) for item in self.header.columns.items())

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters in the order of the header; `creator` is not among them."""
        return tuple(_parameter(*item) for item in self.header.parameters.items())

    def line(self, key: str) -> int:
        """Return the line of the file on which a key of the header stands."""
        match = headers.PATTERN.match(self.path.read_text(encoding="utf-8"))
        return headers.line(match[1], key) if match else 1


def load(folder: Path, project: Project) -> dict[str, Report]:
    """Read and check every report beside the models.

    Args:
        folder: where `reports/` is.
        project: the models that they read.

    Raises:
        ModelError: headers, references, columns or SQL have faults; all of them, with file:line.
    """
    return _checked(_paths(folder).values(), project)


def chosen(folder: Path, project: Project, names: Sequence[str]) -> dict[str, Report]:
    """Read and check some reports, in the order given; those that are not there are left out.

    Raises:
        ModelError: they have faults.
    """
    paths = _paths(folder)
    return _checked([paths[name] for name in names if name in paths], project)


def one(folder: Path, project: Project, name: str) -> Report:
    """Read and check one report.

    Raises:
        NotFoundError: there is none of that name; says which there are.
        ModelError: it has faults.
    """
    paths = _paths(folder)
    if name not in paths:
        near = get_close_matches(name, paths, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise NotFoundError(f"no report {name!r}; {hint}there are {', '.join(paths) or 'none'}")
    return _checked([paths[name]], project)[name]


def references(folder: Path) -> dict[str, tuple[str, ...]]:
    """Return the models that each report names; nothing else of it is checked."""
    from huntaze_pipeline.warehouse import walls

    return {
        name: walls.refs(path.read_text(encoding="utf-8")) for name, path in _paths(folder).items()
    }


def _paths(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted((folder / FOLDER).glob("*.sql"))}


def _checked(paths: Iterable[Path], project: Project) -> dict[str, Report]:
    from huntaze_pipeline.warehouse import walls

    problems: list[Problem] = []
    read = [report for path in paths if (report := _read(path, problems)) is not None]
    found = {r.name: replace(r, refs=walls.refs(r.text)) for r in read}
    problems += walls.faults(list(found.values()), project)
    if problems:
        raise ModelError(problems)
    return found


def _read(path: Path, problems: list[Problem]) -> Report | None:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(Problem(str(path), f"cannot be read as UTF-8 text: {error}"))
        return None
    match = headers.PATTERN.match(text)
    if match is None:
        problems.append(Problem(f"{path}:1", "has no header between `/* ---` and `--- */`"))
        return None
    try:
        header = Header.model_validate(yaml.load(match[1], LOADER))
    except (yaml.YAMLError, ValidationError) as error:
        problems += headers.faults(error, match[1], path)
        return None
    body = "\n" * text.count("\n", 0, match.end()) + text[match.end() :]
    report = Report(path.stem, path, header, body.rstrip().rstrip(";"))
    problems += _unknown(report)
    return report


def _unknown(report: Report) -> list[Problem]:
    """Complain of charts and tiles that name no column."""
    there = report.header.columns
    charts = [(name, "chart") for chart in report.header.chart for name in chart.named]
    tiles = [(part, "tiles") for text in report.header.tiles.values() for part in _parts(text)]
    found = [
        Problem(f"{report.path}:{report.line(key)}", f"{key} names {name!r}, which is no column")
        for name, key in dict.fromkeys(charts + tiles)
        if name not in there
    ]
    for chart in report.header.chart:
        if chart.kind == "intervals" and not (chart.low and chart.high):
            where = f"{report.path}:{report.line('chart')}"
            found.append(Problem(where, "intervals need `low` and `high`"))
        if chart.kind == "heatmap" and not chart.colour:
            where = f"{report.path}:{report.line('chart')}"
            found.append(Problem(where, "a heatmap needs `colour`, the column of its cells"))
    return found


def _parts(text: str) -> list[str]:
    match = TILE.match(text.strip())
    return [part for part in match.group(1, 2) if part] if match else [text]


def _column(name: str, text: str) -> Column:
    style, label, meaning = _groups(_COLUMN, text)
    return Column(name, style, label, " ".join((meaning or "").split()))  # pyright: ignore[reportArgumentType]


def _parameter(name: str, text: str) -> Parameter:
    kind, mark, default, meaning = _groups(_PARAMETER, text)
    return Parameter(name, kind, not mark, default, " ".join(meaning.split()))  # pyright: ignore[reportArgumentType]


def _groups(pattern: re.Pattern[str], text: str) -> tuple[str, ...]:
    match = pattern.match(text.strip())
    if match is None:  # the header's own check lets no such text through
        raise ValueError(text)
    return match.groups()

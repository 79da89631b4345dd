"""SQL models as files: their headers, what they refer to, and the order in which they are built.

A model is one SELECT in `dbt_like_sql/<schema>/<name>.sql` under a header between `/* ---` and
`--- */`. It reads other models by `ref('schema.name')` and raw tables by `source('raw.name')`. An
audit (`audits/`) is a SELECT that returns bad rows. Running them is `runner`'s work.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import yaml
from pydantic import BaseModel, ValidationError

from huntaze_pipeline import hashing
from huntaze_pipeline.errors import ModelError, Problem
from huntaze_pipeline.source import LOADER
from huntaze_pipeline.warehouse import headers, raw
from huntaze_pipeline.warehouse.header import COLUMN, AuditHeader, Header

LAYERS = ("staging", "marts", "metrics")
_CALL = re.compile(r"\b(ref|source)\(\s*'([^']*)'\s*\)")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a model's contract."""

    name: str
    type: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Model:
    """One model file."""

    name: str
    """schema.name"""
    path: Path
    header: Header
    body: str
    """The SELECT as written, references unresolved."""
    refs: tuple[str, ...]
    sources: tuple[str, ...]

    @property
    def sql(self) -> str:
        """Return the SELECT ready to run: references are tables of the lake."""
        return self.reading({})

    def reading(self, relations: Mapping[str, str]) -> str:
        """Return the SELECT with some of the tables it reads replaced by other relations."""
        return _CALL.sub(lambda call: relations.get(call[2], f"lake.{call[2]}"), self.body)

    @property
    def reads(self) -> tuple[str, ...]:
        """The models and raw tables that it reads."""
        return (*self.refs, *self.sources)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The contract, in order."""
        return tuple(_column(name, text) for name, text in self.header.columns.items())

    @property
    def version(self) -> str:
        """The content hash of the SQL and of what is promised of it: not of words for people."""
        head = self.header
        made = [self.sql, head.materialization, head.incremental and head.incremental.model_dump()]
        held = [head.grain, head.optional, [[c.name, c.type] for c in self.columns], head.audits]
        return hashing.content([*made, *held])


@dataclass(frozen=True, slots=True)
class Audit:
    """A SELECT that returns bad rows."""

    name: str
    path: Path
    header: AuditHeader
    sql: str
    refs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Project:
    """All models in the order of their dependencies, and all audits."""

    models: tuple[Model, ...]
    audits: tuple[Audit, ...]

    @property
    def models_by_name(self) -> Mapping[str, Model]:
        """Return the models by their names."""
        return {model.name: model for model in self.models}

    def model(self, name: str) -> Model:
        """Return a model by its name.

        Raises:
            ModelError: there is none.
        """
        for model in self.models:
            if model.name == name:
                return model
        raise ModelError([Problem(name, f"no such model; there are {_names(self.models)}")])

    def select(self, names: Iterable[str] | None) -> tuple[Model, ...]:
        """Return the named models in building order; `+name` takes what it depends on too.

        Raises:
            ModelError: some name is unknown.
        """
        if names is None:
            return self.models
        wanted: set[str] = set()
        for name in names:
            model = self.model(name.lstrip("+"))
            wanted |= self._upstream(model) if name.startswith("+") else {model.name}
        return tuple(m for m in self.models if m.name in wanted)

    def _upstream(self, model: Model) -> set[str]:
        return {model.name}.union(*(self._upstream(self.model(ref)) for ref in model.refs))


def load(folder: Path) -> Project:
    """Read every model and audit of a folder.

    Raises:
        ModelError: headers, references or the graph have faults; all of them, with file:line.
    """
    problems: list[Problem] = []
    models: dict[str, Model] = {}
    audits: list[Audit] = []
    named: set[str] = set()
    for path in sorted(p for p in folder.glob("*/*.sql") if p.parent.name != "reports"):
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            problems.append(Problem(str(path), f"cannot be read as UTF-8 text: {error}"))
            continue
        kind = AuditHeader if path.parent.name == "audits" else Header
        header = _header(text, path, kind, problems)
        refs, sources = _calls(text, path, problems)
        name, body = f"{path.parent.name}.{path.stem}", _body(text)
        named.add(name)
        if isinstance(header, Header):
            models[name] = Model(name, path, header, body, refs, sources)
        elif isinstance(header, AuditHeader):
            audits.append(Audit(name, path, header, _resolved(body), refs))
    ordered = _order(models, folder, problems)
    _known(models, audits, named, problems)
    if problems:
        raise ModelError(sorted(problems, key=_place))
    if not models:
        raise ModelError([Problem(str(folder), "holds no models (*/*.sql)")])
    return Project(ordered, tuple(audits))


def _place(problem: Problem) -> tuple[str, int]:
    path, _, line = problem.where.rpartition(":")
    return (path, int(line)) if line.isdigit() else (problem.where, 0)


def _header(
    text: str, path: Path, kind: type[BaseModel], problems: list[Problem]
) -> BaseModel | None:
    if path.parent.name not in (*LAYERS, "audits"):
        problems.append(
            Problem(f"{path}:1", f"folder {path.parent.name!r} is none of {', '.join(LAYERS)}")
        )
        return None
    match = headers.PATTERN.match(text)
    if match is None:
        problems.append(Problem(f"{path}:1", "has no header between `/* ---` and `--- */`"))
        return None
    try:
        data = yaml.load(match[1], LOADER)
        header = kind.model_validate(data)
    except (yaml.YAMLError, ValidationError) as error:
        problems += headers.faults(error, match[1], path)
        return None
    if isinstance(header, Header):
        problems += [
            Problem(f"{path}:{headers.line(match[1], key)}", fault)
            for key, fault in header.faults()
        ]
    return header


def _calls(
    text: str, path: Path, problems: list[Problem]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Collect what the SQL refers to; complain of tables named without `ref` or `source`."""
    refs: dict[str, None] = {}
    sources: dict[str, None] = {}
    for match in _CALL.finditer(text):
        where = f"{path}:{text.count(chr(10), 0, match.start()) + 1}"
        if match[1] == "ref":
            refs[match[2]] = None
        elif match[2].removeprefix("raw.") in raw.TABLES and match[2].startswith("raw."):
            sources[match[2]] = None
        else:
            known = ", ".join(f"raw.{t}" for t in raw.TABLES)
            problems.append(Problem(where, f"source {match[2]!r} is unknown; one of {known}"))
    for match in re.finditer(r"\blake\.\w+", text):
        where = f"{path}:{text.count(chr(10), 0, match.start()) + 1}"
        problems.append(Problem(where, f"{match[0]}: write ref('…') or source('…') instead"))
    return tuple(refs), tuple(sources)


def _body(text: str) -> str:
    return headers.PATTERN.sub("", text).strip().rstrip(";")


def _resolved(body: str) -> str:
    return _CALL.sub(lambda match: f"lake.{match[2]}", body)


def _known(
    models: Mapping[str, Model],
    audits: list[Audit],
    named: set[str],
    problems: list[Problem],
) -> None:
    """Complain of references to nothing; a model with a broken header is something."""
    for item in (*models.values(), *audits):
        text = item.path.read_text(encoding="utf-8")
        for ref in item.refs:
            if ref not in named:
                line = text[: text.index(f"'{ref}'")].count("\n") + 1
                near = get_close_matches(ref, models, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                problems.append(Problem(f"{item.path}:{line}", f"ref {ref!r} is no model{hint}"))
    for model in models.values():
        part = model.header.incremental
        lost = [name for name in part.reads if name not in model.reads] if part else []
        problems += [
            Problem(f"{model.path}:1", f"incremental reads {name!r}, which its SQL does not")
            for name in lost
        ]


def _order(models: Mapping[str, Model], folder: Path, problems: list[Problem]) -> tuple[Model, ...]:
    """Sort by dependency, names breaking ties; report each cycle once."""
    done: dict[str, Model] = {}
    while len(done) < len(models):
        ready = [
            name
            for name, model in sorted(models.items())
            if name not in done and all(r in done or r not in models for r in model.refs)
        ]
        if not ready:
            stuck = sorted(name for name in models if name not in done)
            problems.append(Problem(str(folder), f"these refer to each other: {', '.join(stuck)}"))
            break
        done |= {name: models[name] for name in ready}
    return tuple(done.values())


def _column(name: str, text: str) -> Column:
    match = COLUMN.match(str(text).strip())
    if match is None:
        return Column(name, "", str(text))
    return Column(name, match[1].strip().upper(), match[2].strip())


def _names(models: Iterable[Model]) -> str:
    return ", ".join(model.name for model in models)

"""Suites: what must hold for one kind of batch, as files that people read and change.

A suite says which columns a batch has, what is derived from them, and what is expected of both.
Faults are reported all at once, with file and line and the nearest right name. Compiling a suite is
`sieve`'s work, judging by it `judge`'s.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from math import ceil, floor
from pathlib import Path
from typing import Any, Literal

from huntaze_pipeline import settings
from huntaze_pipeline.errors import ModelError
from huntaze_pipeline.quality import faults, vocabulary
from huntaze_pipeline.quality.formula import Formula, resolve
from huntaze_pipeline.quality.text import Text

Severity = Literal["error", "warn"]


@dataclass(frozen=True, slots=True)
class Expectation:
    """One sentence of a suite."""

    type: str
    """Great Expectations' name of it."""
    arguments: Mapping[str, Any]
    severity: Severity
    """error: holds rows back, or stops a campaign; warn: is told."""
    meaning: str
    where: str | None
    """A derived or given boolean column; only its true rows are looked at."""
    mostly: float
    line: int

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it is about; empty when it is about the batch."""
        return vocabulary.columns(self.arguments)

    @property
    def name(self) -> str:
        """How it is called in results: unique as long as the suite says nothing twice."""
        about = ", ".join(self.columns) or "batch"
        where = f" where {self.where}" if self.where else ""
        return f"{self.type} {about}{where}" + (" (warn)" if self.severity == "warn" else "")

    @property
    def word(self) -> vocabulary.Word | None:
        """How it is compiled; None: the library judges it alone."""
        return vocabulary.WORDS.get(self.type)

    @property
    def grouped(self) -> bool:
        """Whether it is about rows together."""
        return self.word is not None and self.word.level == "groups"

    @property
    def sieves(self) -> bool:
        """Whether a row that breaks it is held back."""
        by_row = self.word is not None and self.word.level != "batch"
        return by_row and self.severity == "error" and self.mostly == 1

    def resolved(self, given: Mapping[str, Any]) -> "Expectation":
        """Return it with its formulas computed; a bound without its parameter binds nothing."""
        values = {k: resolve(v, given) if isinstance(v, Formula) else v
                  for k, v in self.arguments.items()}  # fmt: skip
        if self.word and self.word.level == "batch":  # rows are counted in whole numbers
            for name, nearest in (("min_value", ceil), ("max_value", floor)):
                if values.get(name) is not None:
                    values[name] = nearest(values[name])
        return replace(self, arguments=values)

    @property
    def moot(self) -> bool:
        """Whether nothing is left of it: all its bounds wait for a parameter that is unknown."""
        bounds = self.word.one_of if self.word else ()
        return bool(bounds) and all(self.arguments.get(name) is None for name in bounds)


@dataclass(frozen=True, slots=True)
class Suite:
    """All that is expected of one kind of batch."""

    name: str
    path: Path
    description: str
    columns: Mapping[str, str]
    """Name: DuckDB type, as a batch must have them; it may have more."""
    derive: Mapping[str, str] = field(default_factory=dict)
    """Name: an SQL expression over the columns."""
    expectations: Sequence[Expectation] = ()

    def resolved(self, given: Mapping[str, Any]) -> "Suite":
        """Return it for one batch: formulas computed, what is moot left out."""
        expectations = [e.resolved(given) for e in self.expectations]
        return replace(self, expectations=tuple(e for e in expectations if not e.moot))

    def rowwise(self) -> "Suite":
        """Return what can be said of one row without the others."""
        return replace(self, expectations=tuple(e for e in self.expectations if not e.grouped))

    def together(self, key: Collection[str]) -> "Suite":
        """Return what is said of rows together and does not follow from `key` being unique."""
        kept = (e for e in self.expectations if e.grouped and not set(key) <= set(e.columns))
        return replace(self, expectations=tuple(kept))


def load(path: Path) -> Suite:
    """Read a suite.

    Raises:
        ModelError: it has faults; all of them, each with file:line and the nearest right name.
    """
    return _loaded(path, path.stat().st_mtime_ns if path.is_file() else 0)


def find(name: str, folder: Path | None = None) -> Path:
    """Return a suite's file: in the folder of the models, or else the one that ships.

    A folder without the suite never means a batch without a gate.
    """
    mine = folder / "quality" / f"{name}.yaml" if folder else None
    return mine if mine and mine.is_file() else shipped() / f"{name}.yaml"


def active(name: str) -> Suite:
    """Return the suite that is in force: the one of HUNTAZE_MODELS_DIR, or the one that ships.

    Raises:
        ModelError: it has faults.
    """
    return load(find(name, settings.load().models_dir))


def every(folder: Path | None = None) -> list[Path]:
    """Return the files of all suites, by name."""
    places = [shipped(), *([folder / "quality"] if folder else [])]
    names = {path.stem for place in places for path in place.glob("*.yaml")}
    return [find(name, folder) for name in sorted(names)]


@cache
def shipped() -> Path:
    """Return the folder of the suites that ship."""
    return Path(settings.Settings.model_fields["models_dir"].get_default(
        call_default_factory=True, validated_data={}
    )) / "quality"  # fmt: skip


@cache
def _loaded(path: Path, changed: int) -> Suite:
    source = Text.read(path)
    faults.find(source)
    if source.problems:
        raise ModelError(source.problems)
    return _suite(source)


def _suite(source: Text) -> Suite:
    data = source.data
    columns = {str(name): str(kind).upper() for name, kind in data["columns"].items()}
    derive = {str(name): str(sql) for name, sql in (data.get("derive") or {}).items()}
    listed = [
        _expectation(entry, columns, source.line(("expectations", number)))
        for number, entry in enumerate(data["expectations"])
    ]
    return Suite(
        source.path.stem, source.path, str(data["description"]), columns, derive, tuple(listed)
    )


def _expectation(entry: Mapping[str, Any], columns: Mapping[str, str], line: int) -> Expectation:
    given = {k: v for k, v in entry.items() if k not in vocabulary.COMMON}
    kind = columns.get(str(given.get("column")), "")
    arguments = {k: Formula.read(v, instant=kind.startswith("TIMESTAMP")) for k, v in given.items()}
    return Expectation(
        str(entry["type"]), arguments, entry.get("severity", "error"),
        str(entry.get("meaning", "")), entry.get("where"), float(entry.get("mostly", 1)), line,
    )  # fmt: skip

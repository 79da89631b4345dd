"""What a model or an audit says of itself: the header above its SELECT, as a typed value.

How headers are found in files is `models`' work; what they ask for is done by `runner` and
`increment`.
"""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints, field_validator, model_validator

from huntaze_pipeline.clock import duration

COLUMN = re.compile(r"^([A-Za-z ]+(?:\(\d+(?:,\s*\d+)?\))?(?:\[\])?)\s*\|\s*(.+)$", re.S)
NAMED = ("windows", "tests")
"""Reaches that follow what is declared: the longest window of any goal; two of any test."""
Name = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]*$")]
Merge = Annotated[str, StringConstraints(pattern=r"^((sum|any|all)|(min|max)( by [a-z_]+)?)$")]
Severity = Literal["error", "warn"]


class Part(BaseModel):
    """A part of a header: nothing unknown in it, and it never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Read(Part):
    """How a change in a table that an incremental model reads finds the rows it touches."""

    time: Name | None = None
    """The column whose day says which partitions a row touches."""
    reach: str = "0s"
    """How long after `time` a row can still matter: a duration, `windows` or `tests`."""
    ahead: str = "0s"
    """How long before `time` a row can matter already, likewise."""
    key: dict[Name, Name] = {}
    """Key column of the model: its name in this table, where the two differ."""

    @field_validator("reach", "ahead")
    @classmethod
    def _duration(cls, text: str) -> str:
        if text not in NAMED:
            duration(text)
        return text


class Incremental(Part):
    """By which unit a model is brought up to date instead of being built anew."""

    partition: Name | None = None
    """The model's time column: whole UTC days of it are rebuilt."""
    key: list[Name] = []
    """Or the columns whose changed values are merged (or, without `merge`, computed anew)."""
    reads: dict[str, Read]
    """The tables that drive it. A change in any other table it reads builds everything anew."""
    merge: dict[Name, Merge] = {}
    """How new rows are put onto those that are there, for every column outside the key."""
    near: Name | None = None
    """A time that rows with one key share (or lack): only that stretch is searched for them."""
    split: list[Name] = []
    """Columns of the key that every read has as they are: what does not fit into memory at once is
    built in parts by them. Without `merge` the whole key is such."""

    @model_validator(mode="after")
    def _one_way(self) -> "Incremental":
        if bool(self.partition) == bool(self.key):
            raise ValueError("give either `partition` or `key`")
        if self.partition and (self.merge or self.near or self.split):
            raise ValueError("`merge`, `near` and `split` go with `key`")
        if not set(self.split) <= set(self.key):
            raise ValueError("`split` names columns of the `key`")
        without = [name for name, read in self.reads.items() if self.partition and not read.time]
        if without:
            raise ValueError(f"reads: {', '.join(without)}: say which column is the `time`")
        return self


class Header(Part):
    """What a model says of itself."""

    description: str
    grain: list[str]
    """The columns that name a row: never twice the same, and never NULL."""
    optional: list[str] = []
    """Columns of the grain in which NULL is a name too: of what nobody is the source, say."""
    owner: str
    materialization: Literal["view", "table", "incremental"]
    columns: dict[str, str]
    """Name: `TYPE | meaning`."""
    incremental: Incremental | None = None
    freshness: str | None = None
    """How old the table may be before Dagster says so."""
    audits: dict[str, str] = {}
    """Name: a SELECT from `this` that returns bad rows; none may before the table is published."""

    @field_validator("columns")
    @classmethod
    def _typed(cls, columns: dict[str, str]) -> dict[str, str]:
        bad = [name for name, text in columns.items() if not COLUMN.match(str(text).strip())]
        if bad:
            raise ValueError(f"{', '.join(bad)}: write `TYPE | meaning`")
        return columns

    @field_validator("freshness")
    @classmethod
    def _duration(cls, text: str | None) -> str | None:
        if text is not None:
            duration(text)
        return text

    @model_validator(mode="after")
    def _complete(self) -> "Header":
        if (self.materialization == "incremental") != (self.incremental is not None):
            raise ValueError("materialization: incremental goes with a part `incremental`")
        return self

    def faults(self) -> list[tuple[str, str]]:
        """Return (key, fault) for every name in the header that is no column of it."""
        found = [
            ("grain", f"grain names {x!r}, which is no column") for x in self._lost(self.grain)
        ]
        found += [
            ("optional", f"optional names {name!r}, which is not in the grain")
            for name in self.optional
            if name not in self.grain
        ]
        part = self.incremental
        if part is None:
            return found
        named = [*part.key, *part.merge, *filter(None, [part.partition, part.near])]
        found += [
            ("incremental", f"incremental names {x!r}, which is no column")
            for x in self._lost(named)
        ]
        rest = [c for c in self.columns if c not in part.key and c not in part.merge]
        if part.merge and rest:
            found.append(("incremental", f"merge does not say how {', '.join(rest)} is merged"))
        return found

    def _lost(self, names: list[str]) -> list[str]:
        return [name for name in names if name not in self.columns]


class AuditHeader(Part):
    """What an audit says of itself."""

    description: str
    owner: str
    severity: Severity = "error"

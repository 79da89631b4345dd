"""The mapping file: which columns of somebody's table mean which field of ours.

A mapping is data: it is read here, every fault with its file and line, and turned into SQL by
`projection`. It holds no code and no SQL. The parts that it is made of are `parts`.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, ValidationError, model_validator

from huntaze_pipeline import hashing
from huntaze_pipeline.clock import zones
from huntaze_pipeline.currency import CURRENCIES
from huntaze_pipeline.errors import ImportFileError, Problem
from huntaze_pipeline.events.parts import (
    CampaignSpec,
    CostSpec,
    EventSpec,
    FanSpec,
    Line,
    Part,
    Value,
)
from huntaze_pipeline.source import LOADER

Kind = Literal["events", "audience", "fans", "campaigns", "costs"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_PLACE = re.compile(r"\$\{(\w+)\}")


class Mapping(Part):
    """A whole mapping file."""

    kind: Kind
    description: str = ""
    file: str | None = None
    """What to read when the command names no file."""
    zone: str | None = None
    """The IANA zone of times that carry none."""
    key: list[str] = []
    let: dict[str, Value] = {}
    """Values with a name, usable below like columns."""
    derived: list[str] = []
    """Fields that are made up by `pick` or `between`; filled in by itself, listed on every fan."""
    group_by: list[str] = []
    check: list[Literal["fan", "campaign"]] = []
    """References that must exist already."""
    allow_negative: bool = False
    events: list[EventSpec] = []
    lines: Line | None = None
    fans: FanSpec | None = None
    campaigns: CampaignSpec | None = None
    costs: CostSpec | None = None

    @model_validator(mode="after")
    def _whole(self) -> "Mapping":
        part = "events" if self.kind == "audience" else self.kind
        if not getattr(self, part):
            raise ValueError(f"kind {self.kind} needs the part `{part}:`")
        if self.zone is not None and self.zone not in zones():
            raise ValueError(f"zone {self.zone!r} is no IANA zone such as Europe/Paris")
        if self.lines is not None and not self.group_by:
            raise ValueError("`lines` needs `group_by`: the columns that name the basket")
        if self.lines is not None and len(self.events) != 1:
            raise ValueError("`lines` belong to one event: give exactly one under `events`")
        return self

    @property
    def lookups(self) -> frozenset[str]:
        """What some value is looked up in: `fan`, `campaign`."""
        named = (value.lookup for value in _values(self))
        return frozenset(lookup.split(".")[0] for lookup in named if lookup)

    @property
    def digest(self) -> str:
        """The content hash: the same mapping, however it is laid out."""
        return hashing.content(self.model_dump(mode="json", exclude={"description", "file"}))


def _values(part: Any) -> Iterator[Value]:
    """Give every value in a part of a mapping, those inside others included."""
    if isinstance(part, Value):
        yield part
    if isinstance(part, BaseModel):
        part = [getattr(part, name) for name in type(part).model_fields]
    elif isinstance(part, dict):
        part = part.values()
    elif not isinstance(part, list):
        return
    for inner in part:
        yield from _values(inner)


def load(path: str | Path, settings: dict[str, str] | None = None) -> Mapping:
    """Read a mapping file; `${name}` in it takes the values of `settings`.

    Raises:
        ImportFileError: it cannot be read or holds faults; each with file:line.
    """
    place = Path(path)
    try:
        text = place.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ImportFileError([Problem(str(path), f"cannot read the mapping: {error}")]) from None
    return parse(_filled(text, settings or {}, str(path)), str(path))


def parse(text: str, where: str) -> Mapping:
    """Read the text of a mapping; `where` names it in messages."""
    try:
        root = yaml.compose(text, Loader=LOADER)
        data = yaml.load(text, LOADER)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise ImportFileError(
            [Problem(f"{where}:{line}", f"is not YAML: {getattr(error, 'problem', error)}")]
        ) from None
    if not isinstance(data, dict):
        raise ImportFileError([Problem(f"{where}:1", "must be a mapping that starts with `kind:`")])
    try:
        mapping = Mapping.model_validate(data)
    except ValidationError as error:
        faults = sorted(error.errors(), key=lambda fault: line_of(root, fault["loc"]))
        raise ImportFileError([_problem(e, root, where) for e in faults]) from None
    _currency_constants(mapping, root, where)
    return mapping


def line_of(root: yaml.Node | None, path: tuple[Any, ...]) -> int:
    """Return the line of the deepest node on a path of keys that the file really has."""
    line = 1
    for key in path:
        if isinstance(root, yaml.MappingNode):
            pair = next((p for p in root.value if p[0].value == str(key)), None)
            if pair is None:
                continue
            line, root = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(root, yaml.SequenceNode) and isinstance(key, int):
            if key >= len(root.value):
                break
            item: yaml.Node = root.value[key]
            line, root = item.start_mark.line + 1, item
    return line


def _problem(error: Any, root: yaml.Node | None, where: str) -> Problem:
    names = [str(part) for part in error["loc"] if part != "Value"]
    what = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        what = "no such key here"
    prefix = ".".join(names)
    return Problem(
        f"{where}:{line_of(root, error['loc'])}", f"{prefix}: {what}" if prefix else what
    )


def _currency_constants(mapping: Mapping, root: yaml.Node | None, where: str) -> None:
    """A currency written into the mapping itself must be one."""
    specs = [(("events", i, "currency"), e.currency) for i, e in enumerate(mapping.events)]
    if mapping.costs is not None:
        specs.append((("costs", "currency"), mapping.costs.currency))  # pyright: ignore
    problems = [
        Problem(f"{where}:{line_of(root, path)}", f"currency {spec.value!r} is no ISO 4217 code")
        for path, spec in specs
        if spec is not None and spec.value is not None and spec.value not in CURRENCIES
    ]
    if problems:
        raise ImportFileError(problems)


def _filled(text: str, settings: dict[str, str], where: str) -> str:
    problems = [
        Problem(f"{where}:{number}", f"${{{name}}} has no value: add --set {name}=…")
        for number, line in enumerate(text.splitlines(), start=1)
        for name in _PLACE.findall(line)
        if name not in settings
    ]
    if problems:
        raise ImportFileError(problems)
    return _PLACE.sub(lambda match: settings[match[1]], text)

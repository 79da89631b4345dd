"""The mapping file: which columns of somebody's table mean which field of ours.

A mapping is data: it is read here, every fault with its file and line, and turned into SQL by
`projection`. It holds no code and no SQL.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from huntaze_pipeline import hashing
from huntaze_pipeline.clock import zones
from huntaze_pipeline.currency import CURRENCIES
from huntaze_pipeline.errors import ImportFileError, Problem
from huntaze_pipeline.events.envelope import known_name
from huntaze_pipeline.source import LOADER

KINDS = ("events", "audience", "fans", "campaigns", "costs")
_PLACE = re.compile(r"\$\{(\w+)\}")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Value(_Part):
    """Where a field's value comes from. A bare text in the file is short for `{column: text}`."""

    column: str | None = None
    value: str | int | float | bool | None = None
    """The same for every row."""
    text: str | None = None
    """A text with {columns} in it."""
    pick: dict[str, float] | None = None
    """One of these values, by weight, chosen by a stable hash of `by` (never by chance)."""
    between: tuple[str | int, str | int] | None = None
    """A whole number or a date between two bounds, both included, by the same hash."""
    seed: str | None = None
    by: str | None = None
    """The column that decides a `pick` or `between`."""
    width: int = Field(default=0, ge=0, le=20)
    """Digits of a number from `between`, zero-filled."""
    lookup: Literal["campaign.start_at", "campaign.end_at", "fan.zone"] | None = None
    """A field of the campaign or fan that this row names."""
    sum: list["Value"] | None = None
    """The sum of several amounts of one row."""
    format: str | None = None
    """How a time is written, in strptime's letters (%d/%m/%Y %H:%M)."""
    epoch: Literal["s", "ms", "us"] | None = None
    """The time is a number of these units since 1970."""
    fold: Literal["min", "max", "sum", "count", "first"] | None = None
    """How several rows of a group become one value; money and quantities default to sum."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        return {"column": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _one_source(self) -> "Value":
        given = [
            name
            for name in ("column", "value", "text", "pick", "between", "lookup", "sum")
            if getattr(self, name) is not None
        ]
        if len(given) != 1:
            raise ValueError("give exactly one of column, value, text, pick, between, lookup, sum")
        if (self.pick is not None or self.between is not None) and not (self.seed and self.by):
            raise ValueError("pick and between need `seed` (a word) and `by` (a column)")
        if self.pick is not None and sum(self.pick.values()) <= 0:
            raise ValueError("the weights of `pick` must add up to more than 0")
        return self


class Line(_Part):
    """The fields of one line of a basket."""

    item_id: Value
    quantity: Value | None = None
    value: Value
    discount: Value | None = None
    properties: dict[str, Value] = {}


class EventSpec(_Part):
    """One event that each row (or group of rows) stands for."""

    name: str | Value
    fan_id: Value
    occurred_at: Value
    key: list[str] = []
    """Columns that name the event; default: those of the mapping."""
    platform: Value | None = None
    account_id: Value | None = None
    campaign_id: Value | None = None
    message_id: Value | None = None
    value: Value | None = None
    currency: Value | None = None
    properties: dict[str, Value] = {}

    @model_validator(mode="after")
    def _name(self) -> "EventSpec":
        if isinstance(self.name, str) and not known_name(self.name):
            raise ValueError(f"{self.name!r} is no event name (a column is written {{column: x}})")
        return self


class AccountSpec(_Part):
    """The account of ours that talks to a fan."""

    id: Value
    platform: Value
    handle: Value


class IdentitySpec(_Part):
    """A fan's address."""

    platform: Value
    account_id: Value
    address: Value


class FanSpec(_Part):
    """One fan a row."""

    id: Value
    name: Value | None = None
    zone: Value | None = None
    locale: Value | None = None
    birthday: Value | None = None
    subscribed_at: Value | None = None
    attributes: dict[str, Value] = {}
    tags: list[str] = []
    account: AccountSpec | None = None
    identity: IdentitySpec | None = None
    consents: dict[str, bool] = {}
    """Topic: granted, for every fan of the file."""


class CampaignSpec(_Part):
    """One campaign a row."""

    id: Value
    name: Value
    type: Value = Value(value="broadcast")
    status: Literal["completed", "cancelled", "draft"] = "completed"
    """What an imported campaign is; never one that would start to send."""
    platforms: list[str] = []
    start_at: Value
    end_at: Value | None = None
    goal: str = "purchase"
    """The event that counts as its conversion."""
    settings: dict[str, Value] = {}


class CostSpec(_Part):
    """One cost a row or group."""

    id: Value
    campaign_id: Value | None = None
    kind: Literal["fixed", "per_message", "discount", "media"]
    amount: Value
    currency: Value
    incurred_at: Value
    note: str | None = None


class Mapping(_Part):
    """A whole mapping file."""

    kind: Literal["events", "audience", "fans", "campaigns", "costs"]
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
        found = (value.lookup for value in _values(self))
        return frozenset(lookup.split(".")[0] for lookup in found if lookup)

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

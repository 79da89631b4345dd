"""What a mapping file is made of: where a value comes from, and the fields of each thing of ours.

The whole file, and how it is read, is `mapping`.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from huntaze_pipeline.events.envelope import known_name


class Part(BaseModel):
    """A piece of a mapping file: unknown keys are faults, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Value(Part):
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


class Line(Part):
    """The fields of one line of a basket."""

    item_id: Value
    quantity: Value | None = None
    value: Value
    discount: Value | None = None
    properties: dict[str, Value] = {}


class EventSpec(Part):
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


class AccountSpec(Part):
    """The account of ours that talks to a fan."""

    id: Value
    platform: Value
    handle: Value


class IdentitySpec(Part):
    """A fan's address."""

    platform: Value
    account_id: Value
    address: Value


class FanSpec(Part):
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


class CampaignSpec(Part):
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


class CostSpec(Part):
    """One cost a row or group."""

    id: Value
    campaign_id: Value | None = None
    kind: Literal["fixed", "per_message", "discount", "media"]
    amount: Value
    currency: Value
    incurred_at: Value
    note: str | None = None

"""Policies: what platforms allow and what fans are spared; rules/policies.yaml and its shape.

Applying them is `campaigns.gates`' business.
"""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from huntaze_pipeline.clock import duration
from huntaze_pipeline.errors import RuleError
from huntaze_pipeline.rulebook.units import Duration, Platform, Strict, TimeOfDay, written
from huntaze_pipeline.rulebook.validation import validate
from huntaze_pipeline.source import read
from huntaze_pipeline.store.people import PLATFORMS


class Limit(Strict):
    """At most `count` messages per account in any window of length `per`."""

    count: Annotated[int, Field(gt=0)]
    per: Duration

    @property
    def window_s(self) -> int:
        """The window in seconds."""
        return int(self.per.total_seconds())


class PlatformPolicy(Strict):
    """What one platform allows."""

    limit: Limit
    total: Limit | None = None
    """What all accounts of the platform share, besides their own limits."""
    max_length: Annotated[int, Field(gt=0)]
    """Characters of the body."""
    subject: bool = False
    reply_window: Duration | None = None
    """A message may go only so long after the fan's last one."""


class TopicPolicy(Strict):
    """What a topic of messages is subject to."""

    description: str = ""
    consent: bool = True
    """The fan must have agreed to the topic."""
    quiet_hours: bool = True
    capped: bool = True


class QuietHours(Strict):
    """The part of the day, in the fan's zone, in which nothing goes out."""

    start: TimeOfDay
    end: TimeOfDay
    """No longer quiet; the same as `start`: no hour is."""


PERIODS = ("day", "week", "month")
"""Of the fan's own calendar; a week begins on Monday."""


def _period(value: Any) -> timedelta | str:
    if isinstance(value, timedelta) or value in PERIODS:
        return value
    try:
        period = duration(value) if isinstance(value, str) else None
    except ValueError:
        period = None
    if period is None or period <= timedelta(0):
        raise ValueError(f"{value!r}: write a duration (24h, 7d) or {', '.join(PERIODS)}")
    return period


Period = Annotated[
    timedelta | str,
    BeforeValidator(_period),
    PlainSerializer(lambda per: per if isinstance(per, str) else written(per)),
    WithJsonSchema({"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d|w)|day|week|month)$"}),
]


class AccountPolicy(Strict):
    """What one account of ours is held to, instead of its platform's limit."""

    limit: Limit


class Cap(Strict):
    """At most `count` capped messages to one fan: in any window of this length, or by calendar."""

    count: Annotated[int, Field(gt=0)]
    per: Period
    """24h: any 24 hours; day: a day of the fan's own calendar."""
    then: Literal["skip", "hold"] = "skip"


class PolicyFile(Strict):
    """rules/policies.yaml: what holds for every campaign and automation."""

    platforms: dict[Platform, PlatformPolicy]
    accounts: dict[str, AccountPolicy] = Field(default_factory=dict)
    """By the account's id."""
    total: Limit | None = None
    """What all accounts of all platforms share."""
    topics: dict[str, TopicPolicy]
    quiet_hours: QuietHours | None = None
    caps: tuple[Cap, ...] = ()
    expires_after: Duration

    @model_validator(mode="after")
    def _complete(self) -> "PolicyFile":
        lacking = [p for p in PLATFORMS if p not in self.platforms]
        if lacking:
            raise ValueError(f"platforms lacks {', '.join(lacking)}")
        if self.expires_after <= timedelta(0):
            raise ValueError("expires_after must be longer than nothing")
        return self


_UNKNOWN = TopicPolicy()


@dataclass(frozen=True)
class Policies:
    """The policies in force."""

    file: PolicyFile

    def platform(self, name: str) -> PlatformPolicy:
        """Return what a platform allows."""
        return self.file.platforms[name]

    def limit(self, platform: str, account_id: str | None = None) -> Limit:
        """Return an account's limit, else its platform's: `count` in any `window_s` seconds."""
        own = self.file.accounts.get(account_id or "")
        return own.limit if own else self.file.platforms[platform].limit

    def topic(self, name: str) -> TopicPolicy:
        """Return what a topic is subject to; an unknown topic is subject to everything."""
        return self.file.topics.get(name, _UNKNOWN)

    @property
    def quiet_hours(self) -> QuietHours | None:
        """The quiet part of the day, or None."""
        return self.file.quiet_hours

    @property
    def expires_after(self) -> timedelta:
        """How long a message may wait when nobody says otherwise."""
        return self.file.expires_after

    def without_quiet_hours(self) -> "Policies":
        """Return the same policies for a run at any hour, such as a demo."""
        return Policies(self.file.model_copy(update={"quiet_hours": None}))

    def without_caps(self) -> "Policies":
        """Return the same policies without frequency caps."""
        return Policies(self.file.model_copy(update={"caps": ()}))


def load_policies(rules_dir: Path) -> Policies:
    """Read rules/policies.yaml.

    Raises:
        RuleError: the file is missing or holds faults; each is named with its line.
    """
    source = read(rules_dir / "policies.yaml", rules_dir)
    file = validate(PolicyFile, source)
    if source.problems or file is None:
        raise RuleError(source.problems)
    return Policies(file)

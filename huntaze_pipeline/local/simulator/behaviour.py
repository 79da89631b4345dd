"""How the simulated platforms behave: limits, faults, recipients and receipts, as checked values.

Only shapes and their checks belong here; what follows from them is in `faults`, `judge` and
`receipts`. Settings are partial JSON: what is left out keeps its value, `"*"` means every platform.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from huntaze_pipeline.errors import Problem, Problems

PLATFORMS = ("onlyfans", "instagram", "tiktok", "email")

Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=86_400 * 30)]
Factor = Annotated[float, Field(ge=0, le=100)]


class BehaviourError(Problems):
    """Simulator settings hold faults; nothing of them was taken."""


class _Part(BaseModel):
    """A frozen part of the settings; unknown names are faults, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Limit(_Part):
    """At most `count` arrivals of an account in any rolling `window_s` seconds."""

    count: Annotated[int, Field(ge=1)] = 10
    window_s: Annotated[float, Field(gt=0, le=86_400)] = 60
    ban: bool = True
    """Whoever exceeds it is banned for good; otherwise refused with 429 and Retry-After."""


class Faults(_Part):
    """Shares of calls that go wrong; a call has one fault at most, so they add up to 1 at most."""

    median_s: Seconds = 0.02
    tail_share: Share = 0.01
    tail_s: Seconds = 0.3
    limited: Share = 0
    """429 with `retry_after_s`, although the limit was kept."""
    retry_after_s: Seconds = 1
    error: Share = 0
    """5xx; the message was not accepted."""
    reset: Share = 0
    """The connection is reset after the request was read; the message was not accepted."""
    reset_accepted: Share = 0
    """As `reset`, but the message was accepted."""
    silent_accepted: Share = 0
    """The message was accepted and no answer ever comes."""

    @model_validator(mode="after")
    def _at_most_one(self) -> "Faults":
        total = self.limited + self.error + self.reset + self.reset_accepted + self.silent_accepted
        if total > 1 + 1e-9:
            raise ValueError(f"the shares of faults add up to {total:g}; 1 is the most")
        return self


class Recipients(_Part):
    """Who cannot be written to: by name, or a seeded share of everybody."""

    invalid: tuple[str, ...] = ()
    invalid_share: Share = 0
    blocked: tuple[str, ...] = ()
    blocked_share: Share = 0
    closed: tuple[str, ...] = ()
    """They have not written lately: outside the reply window."""
    closed_share: Share = 0


class Conduct(_Part):
    """One platform."""

    limit: Limit = Limit()
    strict: Limit | None = None
    """A second, narrower window that the sender was not told about; it answers 429."""
    faults: Faults = Faults()
    recipients: Recipients = Recipients()
    idempotent: bool = False
    """The same key twice is one message."""


class Lift(_Part):
    """Messages whose subject or text holds `contains` do better or worse by these factors."""

    contains: Annotated[str, Field(min_length=1)]
    open: Factor = 1
    click: Factor = 1
    buy: Factor = 1
    value: Factor = 1


class Delays(_Part):
    """Mean seconds from one stage to the next; drawn from an exponential distribution."""

    deliver: Seconds = 0.3
    open: Seconds = 3
    click: Seconds = 2
    buy: Seconds = 4
    reply: Seconds = 5
    unsubscribe: Seconds = 5
    bounce: Seconds = 1


class Receipts(_Part):
    """What fans do with what they got. Each share is of those that reached the stage before."""

    webhook: str | None = None
    """Where receipts are posted; without it none are made."""
    deliver: Share = 0.97
    """The others bounce."""
    open: Share = 0.35
    click: Share = 0.15
    buy: Share = 0.25
    reply: Share = 0.01
    unsubscribe: Share = 0.003
    machine: Share = 0.05
    """E-mail opens and clicks that a scanner made; their user agent says so."""
    value_min: Annotated[float, Field(ge=0)] = 5
    value_max: Annotated[float, Field(ge=0)] = 60
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "USD"
    delays: Delays = Delays()
    lift: tuple[Lift, ...] = ()
    batch: Annotated[int, Field(ge=1, le=5_000)] = 500
    """Receipts in one post."""

    @model_validator(mode="after")
    def _in_order(self) -> "Receipts":
        if self.value_min > self.value_max:
            raise ValueError(f"value_min {self.value_min:g} is above value_max {self.value_max:g}")
        if self.webhook and not self.webhook.startswith(("http://", "https://")):
            raise ValueError(f"webhook {self.webhook!r} must start with http:// or https://")
        return self


class Platforms(_Part):
    """All four."""

    onlyfans: Conduct = Conduct(idempotent=True)
    instagram: Conduct = Conduct()
    tiktok: Conduct = Conduct()
    email: Conduct = Conduct()


class Behaviour(_Part):
    """Everything that can be set; the same seed and the same messages give the same faults."""

    seed: str = "huntaze"
    platforms: Platforms = Platforms()
    receipts: Receipts = Receipts()

    def of(self, platform: str) -> Conduct:
        """Return one platform's part."""
        return getattr(self.platforms, platform)

    def changed(self, patch: Mapping[str, Any]) -> "Behaviour":
        """Return these settings with a partial JSON object laid over them.

        Raises:
            BehaviourError: the patch holds unknown names or bad values; all of them are named.
        """
        merged = _laid_over(self.model_dump(mode="json"), _spread(patch))
        try:
            return Behaviour.model_validate(merged)
        except ValidationError as error:
            raise BehaviourError(
                [
                    Problem(".".join(map(str, e["loc"])) or "settings", e["msg"])
                    for e in error.errors()
                ]
            ) from None


def read(path: Path) -> Behaviour:
    """Read settings from a JSON file.

    Raises:
        BehaviourError: the file cannot be read, is no JSON object or holds bad values.
    """
    try:
        patch = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BehaviourError([Problem(str(path), f"cannot be read as JSON: {error}")]) from None
    if not isinstance(patch, dict):
        raise BehaviourError([Problem(str(path), "must hold one JSON object")])
    return Behaviour().changed(patch)


def started(path: Path | None, *, webhook: str | None, seed: str | None) -> Behaviour:
    """Return the settings of a start: the file's, with the command line's laid over them.

    Raises:
        BehaviourError: the file or an option holds faults.
    """
    patch: dict[str, Any] = {} if seed is None else {"seed": seed}
    if webhook is not None:
        patch["receipts"] = {"webhook": webhook}
    return (read(path) if path else Behaviour()).changed(patch)


def _spread(patch: Mapping[str, Any]) -> Mapping[str, Any]:
    """Replace the platform `*` by all four names; a platform's own entry wins over it."""
    platforms = patch.get("platforms")
    if not isinstance(platforms, dict) or "*" not in platforms:
        return patch
    named = {name: value for name, value in platforms.items() if name != "*"}
    every = dict.fromkeys(PLATFORMS, platforms["*"])
    return {**patch, "platforms": _laid_over(every, named)}


def _laid_over(base: Any, patch: Any) -> Any:
    """Merge objects key by key; anything else replaces what was there."""
    if not (isinstance(base, dict) and isinstance(patch, Mapping)):
        return patch
    return {
        **base,
        **{key: _laid_over(base.get(key), value) for key, value in patch.items()},
    }

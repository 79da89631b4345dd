"""A decision: this fan gets this message, or does not, because. The value that planners return.

Decisions are pure (law 4): made from facts, a rule version, a seed and a clock that are passed in.
`delivery.outbox` writes them; a second write of the same decision changes nothing (law 1).
"""

from dataclasses import dataclass, field
from datetime import datetime

from huntaze_pipeline import hashing


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One row of the messages table, as decided."""

    creator_id: str
    source: str
    """campaign | automation | api"""
    source_id: str
    rule_hash: str
    fan_id: str
    step: int = 0
    occurrence: str = ""
    platform: str
    account_id: str
    address: str
    content: str
    subject: str | None = None
    template_id: str | None = None
    variant_id: str | None = None
    """The arm of a running test that the fan is in."""
    followed_variant_id: str | None = None
    """What the fan gets because the test is over: winner or fallback."""
    priority: str = "medium"
    topic: str = "marketing"
    state: str = "decided"
    """decided | skipped | held (until a test has its winner)"""
    reason: str | None = None
    earliest_at: datetime | None = None
    """For a skip: when the answer could become yes."""
    not_before: datetime
    expires_at: datetime | None = None
    snapshot_id: int | None = None
    decided_at: datetime
    key: str | None = None
    """The caller's idempotency key; default: the message id."""
    message_id: str = field(init=False, compare=False)
    """The deterministic id: the same decision made twice is the same message."""

    def __post_init__(self) -> None:
        """Name the message, once: its id is asked for half a dozen times."""
        made = hashing.name(
            self.creator_id, self.source, self.source_id, self.fan_id, str(self.step),
            self.occurrence,
        )  # fmt: skip
        object.__setattr__(self, "message_id", made)

    @property
    def idempotency_key(self) -> str:
        """The key that the platform sees."""
        return self.key or self.message_id

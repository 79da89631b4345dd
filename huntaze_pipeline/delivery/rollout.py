"""Which accounts go through SQS while the rate limiter's queue is being rolled out.

Sticky and monotone: an account that is inside at 10 % is inside at 50 %. Inside or outside, the
same limiter counts every call; the rollout decides the way, never the limit.
"""

from dataclasses import dataclass

from huntaze_pipeline import hashing
from huntaze_pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class Rollout:
    """The share of accounts whose messages take the way through SQS."""

    enabled: bool = True
    percentage: float = 100.0

    @classmethod
    def of(cls, settings: Settings) -> "Rollout":
        """Read it from the settings."""
        return cls(settings.limiter_enabled, settings.rollout_percentage)

    def inside(self, account_id: str) -> bool:
        """Whether the account's messages go through SQS."""
        return self.enabled and hashing.fraction("rollout", account_id) * 100 < self.percentage

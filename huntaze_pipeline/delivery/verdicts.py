"""What an outcome means for its message: pure, no clock, no database.

Here: the table from (outcome, failures so far, what the platform can do) to the next state, the
permit and the wait. Not here: writing it down (`results`) or calling (`sender`).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from huntaze_pipeline import hashing
from huntaze_pipeline.delivery.limiter import Permit
from huntaze_pipeline.delivery.platforms.base import Capabilities, Kind, Outcome

FAILURES = 3
"""Real failures after which a message is given up."""
BASE_S = 2.0
CAP_S = 300.0
REST_S = 60.0
"""How long an account rests after "too fast" when the platform does not say."""
LONGEST_REST_S = 3600.0


@dataclass(frozen=True, slots=True)
class Resolution:
    """What happens to a message after a call."""

    state: str
    """sent | failed | queued | unknown | claimed (its answer is asked for when the lease ends)"""
    permit: Permit
    counted: bool = False
    """Whether this was a real failure."""
    wait_s: float | None = None
    """Queue again after this long."""
    block_s: float | None = None
    reason: str | None = None
    healthy: bool | None = None
    """What the breaker learns: the platform works, does not, or nothing."""


def resolve(
    outcome: Outcome, *, message_id: str, fence: int, attempts: int, capabilities: Capabilities
) -> Resolution:
    """Decide what follows from an outcome.

    Args:
        outcome: the platform's answer.
        message_id: seeds the jitter, with the fence: the same call always waits the same.
        fence: number of this claim.
        attempts: real failures before this call.
        capabilities: what the platform can do about a lost answer.
    """
    wait = backoff(message_id, fence, attempts)
    match outcome.kind:
        case Kind.SENT:
            return Resolution("sent", Permit.SPENT, healthy=True)
        case Kind.REFUSED:
            reason = outcome.detail or "refused by the platform"
            return Resolution("failed", Permit.SPENT, True, reason=reason, healthy=True)
        case Kind.LIMITED:
            told = REST_S if outcome.retry_after_s is None else outcome.retry_after_s
            rest = min(LONGEST_REST_S, max(0.0, told))
            return Resolution("queued", Permit.SPENT, wait_s=0, block_s=rest)
        case Kind.RETRY:
            return _failed(outcome, Permit.SPENT, attempts, wait, "failed")
        case Kind.UNKNOWN:
            return _unknown(outcome, attempts, wait, capabilities)


def backoff(message_id: str, fence: int, attempts: int) -> float:
    """Return a wait with full jitter: between zero and a bound that doubles with each failure."""
    bound = min(CAP_S, BASE_S * 2 ** min(attempts, 16))
    return bound * hashing.fraction("backoff", message_id, str(fence))


def later(now: datetime, wait_s: float | None) -> datetime | None:
    """Return the instant after a wait."""
    return None if wait_s is None else now + timedelta(seconds=wait_s)


def _failed(outcome: Outcome, permit: Permit, attempts: int, wait: float, final: str) -> Resolution:
    if attempts + 1 >= FAILURES:
        reason = outcome.detail or f"gave up after {FAILURES} failures"
        return Resolution(final, permit, True, reason=reason, healthy=False)
    return Resolution("queued", permit, True, wait_s=wait, reason=outcome.detail, healthy=False)


def _unknown(
    outcome: Outcome, attempts: int, wait: float, capabilities: Capabilities
) -> Resolution:
    """The call may have arrived: never again without a key, unless the platform can be asked."""
    if capabilities.unknown == "resend" and capabilities.honours_idempotency:
        return _failed(outcome, Permit.HELD, attempts, wait, "unknown")
    if capabilities.unknown == "look_up":
        # The request may still be under way; the platform is asked once the lease has ended.
        return Resolution("claimed", Permit.HELD, reason=outcome.detail, healthy=False)
    reason = outcome.detail or "the platform's answer was lost"
    return Resolution("unknown", Permit.HELD, reason=reason, healthy=False)

"""What a limiter is: accounts ask for permits, and a permit counts until the call is over.

Here: the values and the protocol that the in-memory model (`model`) and the Redis one (`shards`)
share. Not here: how either keeps them, nor what a message says.

The promise (law 2): never more than `count` arrivals at the platform in any rolling window. A
permit is taken before the call and its window starts when the call *ends*, so no latency, crash
or retry can squeeze an eleventh call in. Messages wait on their account's queue; nothing is ever
received, refused and sent back.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from huntaze_pipeline.errors import HuntazeError

BANDS = ("high", "medium", "low")
WEIGHTS = (16, 4, 1)
"""When permits are scarce, high, medium and low share them like this."""
AGING_MS = 600_000
"""A message that has waited this long ranks with fresh ones of the next higher priority."""
EVERYBODY = "*"
"""The pool of all accounts, whatever their platform."""
SHARE = 10
"""Messages one account gets in one claim before the next account has its turn."""


class LostError(HuntazeError):
    """The limiter lost its memory; it must be rebuilt before anything may be sent."""

    exit_code = 3


class StepError(HuntazeError):
    """The limiter's clock jumped forward; claims rest for one window."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """How many calls an account may make in any rolling window."""

    count: int
    window_s: float
    pool: str = field(default="", compare=False)
    """The accounts' platform, which may have a limit for all of them together."""

    @property
    def window_ms(self) -> int:
        """The window in whole milliseconds, rounded up."""
        return -int(-self.window_s * 1000 // 1)


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message waiting on its account's queue: ids only, never content."""

    creator_id: str
    message_id: str
    account_id: str
    priority: str
    wanted_ms: int
    """Since when it has wanted to go (epoch milliseconds); orders the queue."""

    @property
    def score(self) -> int:
        """The place in the account's queue: priority first, until waiting makes up for it."""
        return self.wanted_ms + BANDS.index(self.priority) * AGING_MS


@dataclass(frozen=True, slots=True)
class Grant:
    """The right to make one call for one message, until the lease ends."""

    account_id: str
    creator_id: str
    message_id: str
    handle: str
    """What the limiter knows the permit by; given back in the settlement."""
    priority: str
    """The message's: one of `BANDS`."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """The answer to a claim."""

    grants: list[Grant]
    wake_s: float | None
    """Seconds until the next message can go; 0 when more can go at once; None when all is empty."""
    epoch: str = ""
    """The limiter's, when it gave these: intents are accepted under no other."""


class Permit(str, Enum):
    """What became of a permit."""

    SPENT = "spent"
    """The call is over: the window starts when it ended."""
    UNUSED = "unused"
    """No call was made."""
    HELD = "held"
    """The answer was lost, so the call may still arrive: it counts until lease end + window."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """The end of a grant."""

    grant: Grant
    permit: Permit
    requeue_s: float | None = None
    """Put the message back on its queue after this many seconds; None: it is done with."""
    block_s: float | None = None
    """Let the whole account rest this long (429, breaker)."""
    ended: float | None = None
    """Monotonic instant, in this process, at which the call was over; None: only now."""

    @property
    def ago_ms(self) -> int:
        """Whole milliseconds since the call was over, rounded down: on the safe side."""
        return 0 if self.ended is None else max(0, int((time.monotonic() - self.ended) * 1000))


@dataclass(frozen=True, slots=True)
class View:
    """What the limiter knows of one account, for people."""

    limits: Limits | None
    calls_in_window: int
    in_flight: int
    waiting: int
    blocked_s: float
    next_s: float | None
    """Seconds until the next message can go; None when nothing waits."""
    slot_s: float | None = None
    """Seconds until a call could start, if one waited; None: that hangs on calls under way."""


class Limiter(Protocol):
    """Where permits come from. Every call decides for many accounts at once."""

    def configure(self, limits: Mapping[str, Limits]) -> None:
        """Set the limits of accounts; a longer window rests the account for that window."""
        ...

    def enqueue(self, parcels: Sequence[Parcel], limits: Mapping[str, Limits]) -> int:
        """Put messages on their accounts' queues; those that wait already stay. Return the new."""
        ...

    def claim(self, budget: int, *, lease_s: float, urgent: bool = False) -> Claimed:
        """Take up to `budget` permits, each with the message it is for.

        Args:
            budget: the most permits.
            lease_s: how long a permit lasts that nobody settles.
            urgent: for accounts whose next message is a high one, and for no others.

        Raises:
            LostError: the limiter's memory is not the one that the books know.
            StepError: the clock jumped.
        """
        ...

    def commit(self, settlements: Sequence[Settlement]) -> None:
        """Settle permits; one whose lease has ended already is counted all the same."""
        ...

    def peek(self, account_id: str) -> View:
        """Return what is known of an account."""
        ...

    def share(self, totals: Mapping[str, Limits]) -> None:
        """Set the limits that all accounts of a pool, or `EVERYBODY`, share; others have none."""
        ...

"""What a sender is made of, and how it works. Plain values; `worker` puts them together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from huntaze_pipeline.clock import Clock
from huntaze_pipeline.delivery.accounts import Directory
from huntaze_pipeline.delivery.chronometer import Chronometer, database_time
from huntaze_pipeline.delivery.journal import Journal
from huntaze_pipeline.delivery.platforms.base import Platform
from huntaze_pipeline.delivery.queue import Queue
from huntaze_pipeline.delivery.quotas import Quotas
from huntaze_pipeline.delivery.reaper import GIVE_UP_S
from huntaze_pipeline.delivery.relay import Direct
from huntaze_pipeline.delivery.rollout import Rollout
from huntaze_pipeline.delivery.standby import Breakers, Standby
from huntaze_pipeline.store.session import Store


@dataclass(frozen=True, slots=True)
class Options:
    """How a sender works; times in seconds."""

    concurrency: int = 400
    """Calls at once."""
    reserve: int = 32
    """Calls beyond those, for high messages alone: they wait for no room."""
    lease_s: float = 30.0
    timeout_s: float = 10.0
    """Bounds a call; a call that could outlast its lease is not made."""
    margin_s: float = 2.0
    poll_s: float = 0.1
    long_poll_s: float = 5.0
    receivers: int = 1
    """Threads a queue."""
    relay: bool = False
    """Also do the relay's work."""
    sweep_s: float = 300.0
    drain_s: float = 20.0
    patience_s: float | None = None
    """Run until idle: how far away the next free slot may be to be waited for; None: any."""
    give_up_s: float = GIVE_UP_S


@dataclass(slots=True)
class Parts:
    """What a sender is made of."""

    store: Store
    limiter: Standby
    queue: Queue | None
    platforms: Mapping[str, Platform]
    directory: Directory
    breaker: Breakers
    clock: Clock
    worker: str
    journal: Journal
    rollout: Rollout = field(default_factory=Rollout)
    quotas: Callable[[], Quotas] = Quotas
    """Reads the limits of the policies; asked again and again."""

    def set_clock(self) -> None:
        """Set the clock by the database's, unless it is one that somebody else moves."""
        if isinstance(self.clock, Chronometer):
            with self.store.worker() as connection:
                self.clock.set(partial(database_time, connection))

    @property
    def direct(self) -> Direct:
        """The way straight to the account queues."""
        return Direct(self.limiter, self.directory)

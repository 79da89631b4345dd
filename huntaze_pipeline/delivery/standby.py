"""Two limiters that act as one, and two breakers: Redis, and the books while any sender misses it.

All senders use the same one: the checkpoint of the books names it and intents are accepted under
its epoch only (`epoch`). Over to the books goes whoever misses Redis for `PATIENCE_S`; the others
follow at their next intent. Back goes the first who sees Redis once nobody has missed it for a
while. Not here: how either counts.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import ParamSpec, TypeVar

from redis.exceptions import RedisError

from huntaze_pipeline.delivery import books, epoch
from huntaze_pipeline.delivery.accounts import Directory
from huntaze_pipeline.delivery.books import BooksLimiter
from huntaze_pipeline.delivery.breaker import Admission, Breaker
from huntaze_pipeline.delivery.circuit import BooksBreaker
from huntaze_pipeline.delivery.limiter import Claimed, Limiter, Limits, Parcel, Settlement, View
from huntaze_pipeline.delivery.shards import ChangedServerError, RedisLimiter
from huntaze_pipeline.store.session import Store

PATIENCE_S = 2.0
"""How long Redis may be away before the books take over: longer than a restart on the spot."""
_P = ParamSpec("_P")
_T = TypeVar("_T")


class Standby:
    """The limiter of one process. Safe to use from several threads."""

    def __init__(self, redis: RedisLimiter, store: Store, directory: Directory) -> None:
        self.redis = redis
        self.books = BooksLimiter(store, directory.limits)
        self._store = store
        self._directory = directory
        self._away = False
        self._missed_at: float | None = None
        """Monotonic: since when Redis has not answered this process."""

    @property
    def away(self) -> bool:
        """Whether the books do the limiting."""
        return self._away

    @property
    def overdue(self) -> bool:
        """Whether Redis has been away for too long to wait for it."""
        return self._missed_at is not None and time.monotonic() - self._missed_at >= PATIENCE_S

    def configure(self, limits: Mapping[str, Limits]) -> None:
        """Set the limits of accounts."""
        self._try(self._limiter.configure, limits)

    def share(self, totals: Mapping[str, Limits]) -> None:
        """Set the limits that all accounts of a platform, or all accounts, share."""
        self.redis.share(totals)
        self.books.share(totals)

    def enqueue(self, parcels: Sequence[Parcel], limits: Mapping[str, Limits]) -> int:
        """Put messages on their queues; while the books do the limiting, their rows suffice."""
        if self._away:
            self.books.check()
            return 0
        try:
            return self._try(self.redis.enqueue, parcels, limits)
        except ChangedServerError:
            raise
        except RedisError:
            if epoch.away(self._store):
                return 0
            raise

    def claim(self, budget: int, *, lease_s: float, urgent: bool = False) -> Claimed:
        """Take permits."""
        return self._try(self._limiter.claim, budget, lease_s=lease_s, urgent=urgent)

    def commit(self, settlements: Sequence[Settlement]) -> None:
        """Settle permits; the books know the calls of those that Redis gave."""
        ours = [s for s in settlements if self._away or books.gave(s.grant)]
        if ours:
            self.books.commit(ours, over=not self._away)
        if len(ours) < len(settlements):
            theirs = [s for s in settlements if not books.gave(s.grant)]
            self._try(self.redis.commit, theirs)

    def peek(self, account_id: str) -> View:
        """Return what is known of an account."""
        return self._try(self._limiter.peek, account_id)

    def look(self, account_id: str) -> View:
        """Return what is known of an account, by the limiter that the books name."""
        if epoch.away(self._store):
            self._away = True
        return self.peek(account_id)

    def turn(self, task: str, worker: str, seconds: int) -> bool:
        """Take a task of upkeep; there is none while the rows are the queues."""
        return not self._away and self._try(self.redis.turn, task, worker, seconds)

    def agree(self, *, lease_s: float) -> str | None:
        """Use the limiter that all senders use; return what has changed, in words.

        Raises:
            RedisError: Redis is away, not for long yet.
        """
        try:
            rebuilt = self._try(
                epoch.adopt, self._store, self.redis, self._directory, lease_s=lease_s
            )
        except epoch.HeldError as error:
            return self._retreat(error.epoch)
        except RedisError:
            if self.overdue:
                return self._retreat(epoch.retreat(self._store))
            raise
        self._away = False
        return "limiter rebuilt from the attempts" if rebuilt else None

    def returns(self) -> bool:
        """Look for Redis while the books do the limiting; whether it could take over again."""
        try:
            self.redis.server_id()
        except RedisError:
            epoch.miss(self._store)
            return False
        return not epoch.held(self._store)

    def close(self) -> None:
        """Release connections."""
        self.redis.client.close()
        self.redis.client.connection_pool.disconnect()

    @property
    def _limiter(self) -> Limiter:
        return self.books if self._away else self.redis

    def _retreat(self, found: str) -> str | None:
        news = None if self._away else "Redis is away for a sender: the books do the limiting"
        self.books.epoch, self._away = found, True
        self.redis.run_id = None
        return news

    def _try(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Do something, and note since when Redis has been away."""
        began = time.monotonic()
        try:
            done = work(*args, **kwargs)
        except RedisError:
            if self._missed_at is None:
                self._missed_at = began
            raise
        self._missed_at = None
        return done


class Breakers:
    """The breakers of one process, kept where the limiting is done."""

    def __init__(self, redis: Breaker, books: BooksBreaker, limiter: Standby) -> None:
        self.redis = redis
        self.books = books
        self._limiter = limiter

    def admit(self, wanted: Mapping[str, int]) -> dict[str, Admission]:
        """Ask, per platform, how many of the wanted calls may go."""
        return self._used.admit(wanted)

    def report(self, results: Mapping[str, tuple[int, int]]) -> dict[str, str]:
        """Tell, per platform, (good, bad) calls; return the states: closed, open or half."""
        return self._used.report(results)

    def close(self) -> None:
        """Release connections."""
        self.redis.close()

    @property
    def _used(self) -> Breaker | BooksBreaker:
        return self.books if self._limiter.away else self.redis

"""The limiters under test, each with the way to let its time pass."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import insert, select, text, update

from huntaze_pipeline.delivery import epoch
from huntaze_pipeline.delivery.books import BooksLimiter
from huntaze_pipeline.delivery.limiter import Grant, Limiter, Limits, Parcel, Permit, Settlement
from huntaze_pipeline.delivery.scripts import connect
from huntaze_pipeline.delivery.shards import RedisLimiter
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.outflow import Message
from huntaze_pipeline.store.people import Account, Creator, Fan
from huntaze_pipeline.store.session import Store

LIMIT = Limits(3, 0.4)
TIMES = {
    "permits": ("until",),
    "rests": ("until",),
    "attempts": ("intent_at", "result_at"),
    "messages": ("decided_at", "not_before", "queued_at", "lease_until"),
}


@dataclass
class Bench:
    """A limiter and the way to let its time pass."""

    limiter: Limiter
    pause: Callable[[float], None]
    scale: float = 1.0
    """Seconds in one second of a test: the books are slow on a busy machine, and sleep quickly."""

    def sleep(self, seconds: float) -> None:
        self.pause(seconds * self.scale)

    def limit(self, count: int, window_s: float, pool: str = "") -> Limits:
        return Limits(count, window_s * self.scale, pool)

    def park(self, *names: str, account: str = "a", priority: str = "medium") -> int:
        parcels = [Parcel("c", n, account, priority, i) for i, n in enumerate(names)]
        return self.limiter.enqueue(parcels, {account: self.limit(LIMIT.count, LIMIT.window_s)})

    def pool(self, account: str, messages: int, platform: str = "email") -> None:
        """Park messages of an account whose platform may have a limit for all its accounts."""
        parcels = [Parcel("c", f"{account}-{i}", account, "medium", i) for i in range(messages)]
        self.limiter.enqueue(parcels, {account: self.limit(10, 1.0, platform)})

    def crowd(self, platform: str = "", **waiting: int) -> None:
        """Park one fresh message on each of so many accounts of each priority."""
        now = round(time.time() * 1000) - 1000
        parcels = [
            Parcel("c", f"{priority}-{i}", f"{priority}-{i}", priority, now + i)
            for priority, count in waiting.items()
            for i in range(count)
        ]
        limits = {p.account_id: self.limit(3, 60, platform) for p in parcels}
        self.limiter.enqueue(parcels, limits)

    def warm(self) -> None:
        """Let Redis know the shared limits for long enough: a new one rests for a window."""
        if isinstance(self.limiter, RedisLimiter):
            self.limiter.restore("first", [], {})

    def claim(self, budget: int = 100, lease_s: float = 5) -> list[Grant]:
        return self.limiter.claim(budget, lease_s=lease_s * self.scale).grants

    def end(
        self, grants: list[Grant], permit: Permit = Permit.SPENT, *, ago_s: float = 0, **more: float
    ) -> None:
        scaled = {name: seconds * self.scale for name, seconds in more.items()}
        ended = time.monotonic() - ago_s * self.scale
        self.limiter.commit([Settlement(g, permit, **scaled, ended=ended) for g in grants])


class Rows(BooksLimiter):
    """The limiter in the books, with somebody who decides messages and writes down their ends."""

    def __init__(self, store: Store) -> None:
        self.known: dict[str, Limits] = {}
        super().__init__(store, lambda ids: {i: self.known[i] for i in ids if i in self.known})
        self.store = store
        self.epoch = epoch.retreat(store)
        with store.worker() as c:
            c.execute(insert(Creator).values(id="c", name="C"))
            c.execute(insert(Fan).values(creator_id="c", id="fan"))

    def configure(self, limits: Mapping[str, Limits]) -> None:
        self.known.update(limits)
        with self.store.worker() as c:
            known = set(c.execute(select(Account.id)).scalars())
            new = [
                {"creator_id": "c", "id": name, "handle": name,
                 "platform": limits[name].pool or "onlyfans"}
                for name in limits.keys() - known
            ]  # fmt: skip
            if new:
                c.execute(insert(Account), new)

    def sleep(self, seconds: float) -> None:
        """Let time pass: everything that is written down was so much longer ago."""
        with self.store.worker() as c:
            for table, columns in TIMES.items():
                earlier = ", ".join(f"{n} = {n} - make_interval(secs => :past)" for n in columns)
                c.execute(text(f"update {table} set {earlier}"), {"past": seconds})

    def enqueue(self, parcels: Sequence[Parcel], limits: Mapping[str, Limits]) -> int:
        self.configure(limits)
        with self.store.worker() as c:
            known = set(c.execute(select(Message.id)).scalars())
            new = [p for p in parcels if p.message_id not in known]
            if new:
                c.execute(insert(Message), [_row(p) for p in new])
        return len(new)

    def commit(self, settlements: Sequence[Settlement], *, over: bool = False) -> None:
        super().commit(settlements, over=over)
        done = [s.grant.message_id for s in settlements if s.requeue_s is None]
        with self.store.worker() as c:
            c.execute(update(Message).where(Message.id.in_(done)).values(state="sent"))


def _row(parcel: Parcel) -> dict[str, object]:
    at = datetime.fromtimestamp(parcel.wanted_ms / 1000, UTC)
    return {
        "creator_id": "c", "id": parcel.message_id, "source": "api",
        "source_id": parcel.message_id, "fan_id": "fan", "platform": "onlyfans",
        "account_id": parcel.account_id, "address": "fan", "content": "Hi",
        "priority": parcel.priority, "state": "queued", "not_before": at, "decided_at": at,
        "idempotency_key": parcel.message_id,
    }  # fmt: skip


def in_books(store: Store) -> Bench:
    rows = Rows(store)
    return Bench(rows, rows.sleep, scale=20)


def over_redis(lean: Settings) -> RedisLimiter:
    limiter = RedisLimiter(connect(lean), namespace="test", pools=("email", "tiktok"))
    limiter.restore("first", [], {})
    limiter.epoch = "first"
    return limiter


def names(grants: list[Grant]) -> list[str]:
    return [g.message_id for g in grants]

"""The limiter as a plain in-memory model: what the Redis one must agree with.

Serves tests and simulations, on any clock. Not for production: it is one process's memory.
"""

from bisect import insort
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from huntaze_pipeline.delivery.limiter import (
    BANDS,
    EVERYBODY,
    WEIGHTS,
    Claimed,
    Grant,
    Limits,
    Parcel,
    Permit,
    Settlement,
    View,
)

Key = tuple[str, str]


@dataclass(slots=True)
class _Lease:
    account: str
    expires: int
    parcel: Parcel | None
    """None: the answer was lost; the permit counts, the message is not put back."""


@dataclass(slots=True)
class _Account:
    limits: Limits
    stamps: list[int] = field(default_factory=list)
    queue: dict[Key, Parcel] = field(default_factory=dict)
    later: dict[Key, tuple[int, Parcel]] = field(default_factory=dict)
    busy: int = 0
    blocked: int = 0
    served: int = 0


class MemoryLimiter:
    """All accounts in one dictionary, on the clock it is given (milliseconds)."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now = now_ms
        self._accounts: dict[str, _Account] = {}
        self._leases: dict[str, _Lease] = {}
        self._serial = 0
        self._totals: Mapping[str, Limits] = {}
        self._ended: list[tuple[int, str]] = []
        """When calls ended, and of which pool: what the shared limits count."""

    def share(self, totals: Mapping[str, Limits]) -> None:
        """Set the limits that all accounts of a pool share."""
        self._totals = dict(totals)

    def configure(self, limits: Mapping[str, Limits]) -> None:
        """Set limits; a longer window means older calls were forgotten, so rest for it."""
        for name, limit in limits.items():
            account = self._accounts.setdefault(name, _Account(limit))
            if limit.window_ms > account.limits.window_ms:
                account.blocked = max(account.blocked, self._now() + limit.window_ms)
            account.limits = limit

    def enqueue(self, parcels: Sequence[Parcel], limits: Mapping[str, Limits]) -> int:
        """Put messages on their queues."""
        self.configure(limits)
        new = 0
        for parcel in parcels:
            queue = self._accounts[parcel.account_id].queue
            key = (parcel.creator_id, parcel.message_id)
            new += key not in queue
            queue.setdefault(key, parcel)
        return new

    def claim(self, budget: int, *, lease_s: float, urgent: bool = False) -> Claimed:
        """Grant one by one: bands by their weights, within a band whoever was served least."""
        now = self._now()
        self._settle_time(now)
        grants: list[Grant] = []
        given = [0 for _ in BANDS]
        while len(grants) < budget and (ready := self._ready(now, urgent)):
            name = min(ready, key=lambda name: self._stand(name, given))
            given[self._band(self._accounts[name])] += 1
            grants.append(self._grant(name, now + round(lease_s * 1000)))
            self._accounts[name].served = now * 1000 + self._serial
        return Claimed(grants, self._wake(now))

    def commit(self, settlements: Sequence[Settlement]) -> None:
        """Settle permits."""
        now = self._now()
        for settlement in settlements:
            self._settle(settlement, now)

    def peek(self, account_id: str) -> View:
        """Show one account."""
        now = self._now()
        account = self._accounts.get(account_id)
        if account is None:
            return View(None, 0, 0, 0, 0.0, None)
        due, slot = self._due(account, now), self._slot(account, now)
        return View(
            limits=account.limits,
            calls_in_window=len(self._live(account, now)),
            in_flight=account.busy,
            waiting=len(account.queue) + len(account.later),
            blocked_s=max(0, account.blocked - now) / 1000,
            next_s=None if due is None else max(0, due - now) / 1000,
            slot_s=None if slot is None else max(0, slot - now) / 1000,
        )

    def _grant(self, name: str, expires: int) -> Grant:
        account = self._accounts[name]
        key, parcel = min(account.queue.items(), key=lambda item: (item[1].score, item[0]))
        del account.queue[key]
        self._serial += 1
        handle = f"lease-{self._serial}"
        self._leases[handle] = _Lease(name, expires, parcel)
        account.busy += 1
        return Grant(name, *key, handle, parcel.priority)

    def _settle(self, settlement: Settlement, now: int) -> None:
        grant = settlement.grant
        account = self._accounts[grant.account_id]
        lease = self._leases.get(grant.handle)
        parcel = lease.parcel if lease else None
        if lease is None:
            parcel = account.queue.pop((grant.creator_id, grant.message_id), None)
        if lease and settlement.permit is Permit.HELD:
            lease.parcel = None
        else:
            if lease:
                del self._leases[grant.handle]
                account.busy -= 1
            if settlement.permit is not Permit.UNUSED:
                self._stamp(account, now - settlement.ago_ms)
        if settlement.requeue_s is not None and parcel:
            key = (grant.creator_id, grant.message_id)
            account.later[key] = (now + round(settlement.requeue_s * 1000), parcel)
        if settlement.block_s is not None:
            account.blocked = max(account.blocked, now + round(settlement.block_s * 1000))

    def _settle_time(self, now: int) -> None:
        """Apply what time alone has changed: ended leases and ended waits."""
        for handle, lease in list(self._leases.items()):
            if lease.expires > now:
                continue
            account = self._accounts[lease.account]
            del self._leases[handle]
            account.busy -= 1
            self._stamp(account, lease.expires)
            if lease.parcel:
                key = (lease.parcel.creator_id, lease.parcel.message_id)
                account.queue.setdefault(key, lease.parcel)
        for account in self._accounts.values():
            for key, (at, parcel) in list(account.later.items()):
                if at <= now:
                    del account.later[key]
                    account.queue.setdefault(key, parcel)

    def _stamp(self, account: _Account, at: int) -> None:
        insort(account.stamps, at)
        self._ended.append((at, account.limits.pool))

    def _live(self, account: _Account, now: int) -> list[int]:
        return [s for s in account.stamps if s + account.limits.window_ms > now]

    def _shared(self, account: _Account, now: int) -> list[tuple[int, list[int]]]:
        """What an account may have of its shared limits, and when each used permit is free again.

        Ended calls count by whole seconds, the oldest one wholly. The last tenth is for high alone.
        """
        found = []
        for name in {account.limits.pool, EVERYBODY} & self._totals.keys():
            total = self._totals[name]
            lasts = (-int(-total.window_s // 1) + 1) * 1000
            mine = [at for at, its in self._ended if name in (its, EVERYBODY)]
            frees = sorted(f for at in mine if (f := at // 1000 * 1000 + lasts) > now)
            flying = [
                lease
                for lease in self._leases.values()
                if name in (self._accounts[lease.account].limits.pool, EVERYBODY)
            ]
            frees += [lease.expires + lasts for lease in flying]
            spare = total.count // 10 if account.queue and self._band(account) else 0
            found.append((total.count - spare, frees))
        return found

    def _due(self, account: _Account, now: int) -> int | None:
        """Return when the account's head may go; None: nothing waits, or all hangs on answers."""
        return self._slot(account, now) if account.queue else None

    def _slot(self, account: _Account, now: int) -> int | None:
        """Return when a call could start, if one waited."""
        for room, frees in self._shared(account, now):
            if len(frees) >= room:
                return max(now + 1, min(frees))
        live = self._live(account, now)
        over = account.busy + len(live) - account.limits.count + 1
        if over <= 0:
            return max(now, account.blocked)
        if over > len(live):
            return None
        return max(live[over - 1] + account.limits.window_ms, account.blocked)

    def _ready(self, now: int, urgent: bool) -> list[str]:
        due = {name: self._due(a, now) for name, a in self._accounts.items()}
        ready = [n for n, at in due.items() if at is not None and at <= now]
        return [n for n in ready if not urgent or self._band(self._accounts[n]) == 0]

    def _stand(self, name: str, given: Sequence[int]) -> tuple[float, int, str]:
        account = self._accounts[name]
        band = self._band(account)
        return (given[band] + 0.5) / WEIGHTS[band], account.served, name

    def _band(self, account: _Account) -> int:
        head = min(account.queue.values(), key=lambda parcel: parcel.score)
        return BANDS.index(head.priority)

    def _wake(self, now: int) -> float | None:
        times = [at for a in self._accounts.values() if (at := self._due(a, now)) is not None]
        times += [at for a in self._accounts.values() for at, _ in a.later.values()]
        times += [lease.expires for lease in self._leases.values()]
        return max(0, min(times) - now) / 1000 if times else None

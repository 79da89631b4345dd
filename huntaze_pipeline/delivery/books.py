"""The limiter in PostgreSQL: the same two-phase rule over `attempts`, while Redis is away.

Slow, and as exact: an account's row is locked, its calls and open permits are counted, and permits
are written before anybody else may count. The intent takes the permit's place (`intents`), its
result is the end of the call. The queues are the `queued` rows themselves.
Not here: how it is asked (`counting`), nor when this one is used instead of Redis (`standby`).
"""

import json
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline.delivery import counting
from huntaze_pipeline.delivery.limiter import (
    EVERYBODY,
    Claimed,
    Grant,
    Limits,
    LostError,
    Parcel,
    Settlement,
    View,
)
from huntaze_pipeline.store.session import Store

CHECKPOINT = "limiter"
LOCK = 0x48554E4C  # "HUNL": one rebuild at a time, and no intent in the meantime
IDLE_S = 10.0
"""A holder that is not heard of for this long loses it, and its transaction."""
MARGIN_S = 1.0
_MARK = "books-"
"""How the handles of our own grants begin."""
BUSY_S = 0.05
"""An account whose row another sender holds is looked at again after this long."""


class BooksLimiter:
    """The limiter that needs nothing but the books. Safe to use from several processes."""

    def __init__(
        self,
        store: Store,
        limits: Callable[[Collection[str]], Mapping[str, Limits]],
        *,
        lease_s: float = 30.0,
    ) -> None:
        """Count in a store.

        Args:
            store: the books.
            limits: those of accounts, asked at every claim.
            lease_s: after how long a call without an answer is over.
        """
        self._store = store
        self._limits = limits
        self._lease_s = lease_s
        self._totals: Mapping[str, Limits] = {}
        self.epoch = ""
        """The one under which the books do the limiting; `epoch.retreat` sets it."""

    def share(self, totals: Mapping[str, Limits]) -> None:
        """Set the limits that all accounts of a pool share."""
        self._totals = dict(totals)

    def configure(self, limits: Mapping[str, Limits]) -> None:
        """Do nothing: limits are asked at every claim, and no call of a longer window is lost."""

    def enqueue(self, parcels: Sequence[Parcel], limits: Mapping[str, Limits]) -> int:
        """Do nothing: the rows are the queues."""
        return 0

    def claim(self, budget: int, *, lease_s: float, urgent: bool = False) -> Claimed:
        """Take permits; see `Limiter.claim`."""
        with self._store.worker(idle_s=IDLE_S) as connection:
            self._check(connection)
            names = [row.id for row in connection.execute(counting.NAMES)]
            limits = self._limits(names)
            values: dict[str, Any] = {"lease": lease_s, "margin": MARGIN_S}
            due = connection.execute(
                counting.DUE, values | {"limits": _packed(limits, names)}
            ).all()
            ready = [row.account for row in due if row.wait_s <= 0]
            if len(ready) > budget:
                found = connection.execute(counting.URGENT, {"ids": ready, "budget": budget})
                ready = [row.account for row in found]
            values["urgent"] = urgent
            grants = self._take(connection, ready, limits, budget, values)
        if grants:
            return Claimed(grants, 0.0, self.epoch)
        waits = [row.wait_s or BUSY_S for row in due]
        return Claimed([], min(waits, default=None), self.epoch)

    def commit(self, settlements: Sequence[Settlement], *, over: bool = False) -> None:
        """Settle permits; one that became an intent has its end in `attempts`.

        Args:
            settlements: of our grants, or of others that ended while we do the limiting.
            over: Redis has taken over; messages that wait go to the relay, which carries them.
        """
        rows = json.dumps(
            [
                {
                    "creator_id": s.grant.creator_id, "handle": s.grant.handle,
                    "message_id": s.grant.message_id, "account_id": s.grant.account_id,
                    "permit": s.permit.value, "requeue": s.requeue_s, "rest": s.block_s,
                    "ago": s.ago_ms / 1000,
                }
                for s in settlements
            ]
        )  # fmt: skip
        waits = counting.BACK if over else counting.LATER
        with self._store.worker() as connection:
            for statement in (counting.UNUSED, counting.SPENT, waits, counting.RESTS):
                connection.execute(statement, {"rows": rows})

    def peek(self, account_id: str) -> View:
        """Return what is known of an account."""
        known = self._limits([account_id])
        if account_id not in known:
            return View(None, 0, 0, 0, 0.0, None)
        values = {"lease": self._lease_s, "margin": MARGIN_S}
        with self._store.worker() as connection:
            packed = _packed(known, [account_id])
            row = connection.execute(counting.VIEW, values | {"limits": packed}).one()
        return View(
            limits=known[account_id], calls_in_window=row.calls, in_flight=row.flying,
            waiting=row.waiting, blocked_s=row.rest_s or 0.0,
            next_s=(row.wait_s or 0.0) if row.waiting else None, slot_s=row.wait_s or 0.0,
        )  # fmt: skip

    def check(self) -> None:
        """Return when the books still do the limiting.

        Raises:
            LostError: another limiter is in use by now.
        """
        with self._store.worker(idle_s=IDLE_S) as connection:
            self._check(connection)

    def _check(self, connection: Connection) -> None:
        """Hold the epoch still for this transaction."""
        connection.execute(text("select pg_advisory_xact_lock_shared(:key)"), {"key": LOCK})
        if position(connection).get("epoch") != self.epoch:
            raise LostError("another limiter is in use by now")

    def _take(
        self, connection: Connection, ready: Sequence[str], limits: Mapping[str, Limits],
        budget: int, values: dict[str, Any],
    ) -> list[Grant]:  # fmt: skip
        """Lock the accounts, then count again: only what is seen under the lock decides."""
        mine = [row.id for row in connection.execute(counting.LOCK, {"ids": list(ready)})]
        if not mine:
            return []
        packed = {"limits": _packed(limits, mine)}
        rooms = self._rooms(connection, values)
        room, spare = rooms.pop(EVERYBODY, (budget, 0))
        told = [{"pool": p, "room": r, "spare": s} for p, (r, s) in rooms.items()]
        shared = {"rooms": json.dumps(told), "budget": min(budget, room), "spare": spare}
        if not self._totals:  # a permit may count for longer in a pool than in its account
            connection.execute(counting.FORGET, packed)
        token = f"{_MARK}{uuid.uuid4().hex[:12]}-"
        rows = connection.execute(counting.TAKE, values | packed | shared | {"token": token})
        return [Grant(r.account_id, r.creator_id, r.message_id, r.handle, r.priority) for r in rows]

    def _rooms(self, connection: Connection, values: dict[str, Any]) -> dict[str, tuple[int, int]]:
        """Count what is free of the limits that accounts share; nobody else does so meanwhile.

        Returns:
            By pool: how many calls are free, and how many of those are for high alone.
        """
        if not self._totals:
            return {}
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": LOCK + 1})
        totals = [
            {"pool": name, "count": total.count, "window_s": total.window_s}
            for name, total in self._totals.items()
        ]
        rows = connection.execute(counting.ROOMS, values | {"totals": json.dumps(totals)})
        return {row.pool: (row.room, row.spare) for row in rows}


def gave(grant: Grant) -> bool:
    """Whether the books gave this grant."""
    return grant.handle.startswith(_MARK)


def position(connection: Connection) -> dict[str, Any]:
    """Return what the books say about the limiter in use."""
    row = connection.execute(
        text("select position from checkpoints where name = :name"), {"name": CHECKPOINT}
    ).scalar()
    return row or {}


def _packed(limits: Mapping[str, Limits], names: Sequence[str]) -> str:
    return json.dumps(
        [
            {
                "account": n,
                "count": limits[n].count,
                "window_s": limits[n].window_s,
                "pool": limits[n].pool,
            }
            for n in names
            if n in limits
        ]
    )

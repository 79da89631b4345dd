"""The sending accounts: platform, status and limits, kept at hand for a few seconds.

An account's own limit wins over its platform's. Not here: counting (`limiter`).
"""

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from sqlalchemy import Connection, text

from huntaze_pipeline.delivery.limiter import Limits
from huntaze_pipeline.delivery.quotas import Quotas
from huntaze_pipeline.errors import NotFoundError
from huntaze_pipeline.store.session import Store

STRICT = Limits(1, 60.0)
"""For an account that nobody knows."""
FRESH_S = 15.0
_COLUMNS = "select id, creator_id, platform, status, limit_count, limit_window_s from accounts"


@dataclass(frozen=True, slots=True)
class Account:
    """What delivery needs to know of a sending account."""

    id: str
    creator_id: str
    platform: str
    status: str
    limits: Limits


class Directory:
    """A read-through cache of the accounts. Safe to use from several threads."""

    def __init__(self, store: Store, quotas: Quotas | None = None) -> None:
        """Read from a store.

        Args:
            store: the books; limits of an account's own there win over all others.
            quotas: the limits of the policies.
        """
        self._store = store
        self.quotas = quotas or Quotas()
        """May be replaced at any time; `changed` says whom it concerns."""
        self._lock = threading.Lock()
        self._known: dict[str, Account] = {}
        self._read_at: dict[str, float] = {}
        self._told: dict[str, Limits] = {}
        """What a limiter was told last, or will have been by whoever parked first."""

    def of(self, ids: Iterable[str]) -> Mapping[str, Account]:
        """Return the accounts that exist among the ids."""
        wanted = set(ids)
        stale = time.monotonic() - FRESH_S
        with self._lock:
            missing = {i for i in wanted if self._read_at.get(i, -1e9) < stale}
        if missing:
            with self._store.worker() as connection:
                rows = connection.execute(
                    text(f"{_COLUMNS} where id = any(:ids)"), {"ids": sorted(missing)}
                ).all()
            self._keep([self._account(row) for row in rows], missing)
        with self._lock:
            return {i: self._known[i] for i in wanted if i in self._known}

    def limits(self, ids: Iterable[str]) -> dict[str, Limits]:
        """Return the limits of the ids; an unknown account gets the strictest."""
        wanted = set(ids)
        found = self.of(wanted)
        limits = {i: found[i].limits if i in found else STRICT for i in wanted}
        with self._lock:
            self._told.update(limits)
        return limits

    def every(self, connection: Connection) -> dict[str, Limits]:
        """Read the limits of all accounts."""
        accounts = [self._account(row) for row in connection.execute(text(_COLUMNS))]
        limits = {a.id: a.limits for a in accounts}
        self._keep(accounts, limits)
        with self._lock:
            self._told.update(limits)
        return limits

    def changed(self) -> dict[str, Limits]:
        """Read again what is known here; return the limits that are not what was told of them."""
        with self._lock:
            before = dict(self._told)
            self._read_at.clear()
        after = self.limits(before)
        return {i: limit for i, limit in after.items() if limit != before[i]}

    def _keep(self, accounts: Iterable[Account], asked: Iterable[str]) -> None:
        now = time.monotonic()
        with self._lock:
            for account_id in asked:
                self._known.pop(account_id, None)
                self._read_at[account_id] = now
            for account in accounts:
                self._known[account.id] = account
                self._told.setdefault(account.id, account.limits)

    def _account(self, row: object) -> Account:
        id_, creator, platform, status, count, window = row  # type: ignore[misc]
        standard = self.quotas.of(platform, id_)
        limits = Limits(count or standard.count, window or standard.window_s, platform)
        return Account(id_, creator, platform, status, limits)


def stranger(connection: Connection, account_id: str) -> NotFoundError:
    """Return the error for an account that is not there, with what may have been meant."""
    rows = connection.execute(text(f"{_COLUMNS} order by id")).all()
    mine = [row.id for row in rows if row.creator_id == account_id]
    near = get_close_matches(account_id, [row.id for row in rows], n=1)
    what = f"there is no account {account_id!r}"
    if mine:
        return NotFoundError(f"{what}; the accounts of that creator are {', '.join(mine)}")
    return NotFoundError(f"{what}; did you mean {near[0]!r}?" if near else what)

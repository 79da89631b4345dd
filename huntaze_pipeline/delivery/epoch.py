"""Which limiter counts: noticing that Redis is away or lost its memory, and rebuilding it.

The books are PostgreSQL's `attempts`: every call's intent is committed there before the call. The
checkpoint ``limiter`` names the epoch and the server whose memory is valid, or says that the books
themselves do the limiting. A sender's intents are accepted only under that epoch (`intents`), so
no call slips past a rebuild or a change of limiters unseen.
"""

import json
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline.delivery import books
from huntaze_pipeline.delivery.accounts import Directory
from huntaze_pipeline.delivery.limiter import Limits, Parcel
from huntaze_pipeline.delivery.shards import RedisLimiter
from huntaze_pipeline.errors import HuntazeError
from huntaze_pipeline.store.session import Store

HOLD_S = 10.0
"""The books go on limiting until no sender has missed Redis for this long."""
_PAGE = 5000

_CALLS = text("""
    select account_id,
        case when result_at is not null and outcome <> 'unknown'
            then extract(epoch from clock_timestamp() - result_at) * 1000 end as age,
        extract(epoch from intent_at + make_interval(secs => :lease) - clock_timestamp()) * 1000
            as remaining
    from attempts
    where intent_at > clock_timestamp() - make_interval(secs => :since)
        and outcome is distinct from 'unused'
""")
_MISSED = text("""
    update checkpoints set position = position
        || jsonb_build_object('missed_at', extract(epoch from clock_timestamp()))
    where name = :name and position ? 'books'
""")
_WAITING = text("""
    select m.creator_id, m.id, m.account_id, m.priority,
        (extract(epoch from greatest(m.decided_at, m.not_before)) * 1000)::bigint as wanted
    from messages m
    where m.state = 'queued' and (m.account_id, m.id) > (:account, :id)
        and (cast(:before as timestamptz) is null or m.queued_at is null or m.queued_at < :before)
    order by m.account_id, m.id limit :page
""")


class HeldError(HuntazeError):
    """The books do the limiting: some sender has missed Redis a moment ago."""

    def __init__(self, epoch: str) -> None:
        super().__init__("the books do the limiting while some sender misses Redis")
        self.epoch = epoch


def adopt(store: Store, limiter: RedisLimiter, directory: Directory, *, lease_s: float) -> bool:
    """Make the limiter usable: accept its memory when it is whole, else rebuild it.

    Returns:
        Whether the memory had to be rebuilt (the first start counts as such).

    Raises:
        HeldError: the books do the limiting; the error names their epoch.
    """
    limiter.run_id = None
    limiter.reconnect()
    with store.worker(idle_s=books.IDLE_S) as connection:
        _alone(connection)
        if held := _held(connection):
            raise HeldError(held)
        limits = directory.every(connection)
        windows = [limit.window_s for limit in [*limits.values(), *limiter.totals.values()]]
        limiter.rest_s = max(windows, default=60.0)
        server = limiter.server_id()
        known = books.position(connection)
        if known.get("run_id") == server and limiter.epochs() == {known.get("epoch")}:
            limiter.epoch = str(known["epoch"])
            limiter.run_id = server
            return False
        epoch = uuid.uuid4().hex[:12]
        _remember(connection, {"epoch": epoch, "run_id": server})
        _rebuild(connection, limiter, limits, epoch, lease_s)
    limiter.epoch = epoch
    limiter.run_id = server
    repark(store, limiter, directory)
    return True


def retreat(store: Store) -> str:
    """Let the books do the limiting, from now on and for every sender; return their epoch.

    Grants of Redis that are no intents yet are void; those that are, are in `attempts`.
    """
    with store.worker(idle_s=books.IDLE_S) as connection:
        _alone(connection)
        known = books.position(connection)
        if not known.get("books"):
            known = {"epoch": uuid.uuid4().hex[:12], "books": True}
            connection.execute(text("delete from permits"))
        _remember(connection, known | {"missed_at": _now(connection)})
    return str(known["epoch"])


def miss(store: Store) -> None:
    """Say that Redis is still away for one sender, which keeps all of them with the books."""
    with store.worker() as connection:
        connection.execute(_MISSED, {"name": books.CHECKPOINT})


def held(store: Store) -> bool:
    """Whether the books do the limiting and should go on."""
    with store.worker() as connection:
        return _held(connection) is not None


def away(store: Store) -> bool:
    """Whether the books do the limiting."""
    with store.worker() as connection:
        return bool(books.position(connection).get("books"))


def _alone(connection: Connection) -> None:
    """No intent and no other change of limiters until this transaction ends."""
    connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": books.LOCK})


def _held(connection: Connection) -> str | None:
    known = books.position(connection)
    if known.get("books") and _now(connection) - known["missed_at"] < HOLD_S:
        return str(known["epoch"])
    return None


def _now(connection: Connection) -> float:
    return float(connection.scalar(text("select extract(epoch from clock_timestamp())")) or 0)


def repark(
    store: Store, limiter: RedisLimiter, directory: Directory, before: datetime | None = None
) -> int:
    """Put every queued row back on its account's queue; return how many were missing there.

    Args:
        store: the books.
        limiter: holds the queues.
        directory: knows the accounts.
        before: leave out rows that were queued later: their notes may be on their way, and a
            message that is sent before its note comes is parked once more for nothing.
    """
    new = 0
    for parcels in waiting(store, before):
        new += limiter.enqueue(parcels, directory.limits({p.account_id for p in parcels}))
    return new


def waiting(store: Store, before: datetime | None = None) -> Iterator[list[Parcel]]:
    """Walk all rows that should be on a queue, page by page."""
    account, message = "", ""
    while True:
        with store.worker() as connection:
            rows = connection.execute(
                _WAITING, {"account": account, "id": message, "page": _PAGE, "before": before}
            ).all()
        if rows:
            yield [Parcel(r.creator_id, r.id, r.account_id, r.priority, r.wanted) for r in rows]
            account, message = rows[-1].account_id, rows[-1].id
        if len(rows) < _PAGE:
            return


def _remember(connection: Connection, position: dict[str, Any]) -> None:
    connection.execute(
        text("""
            insert into checkpoints (name, position) values (:name, cast(:position as jsonb))
            on conflict (name) do update set position = excluded.position, updated_at = now()
        """),
        {"name": books.CHECKPOINT, "position": json.dumps(position)},
    )


def _rebuild(
    connection: Connection,
    limiter: RedisLimiter,
    limits: Mapping[str, Limits],
    epoch: str,
    lease_s: float,
) -> None:
    since = limiter.rest_s + lease_s + books.MARGIN_S
    rows = connection.execute(_CALLS, {"lease": lease_s + books.MARGIN_S, "since": since})
    calls = [_call(row.account_id, row.age, row.remaining) for row in rows]
    limiter.restore(epoch, calls, {a: limits[a] for a, _, _ in calls if a in limits})


def _call(account: str, age: float | None, remaining: float) -> tuple[str, int, int]:
    """An ended call by its age; one that may still arrive by when it must have ended."""
    if age is not None:
        return account, max(0, int(age)), 0
    if remaining <= 0:
        return account, max(0, int(-remaining)), 0
    return account, -1, int(remaining) + 1

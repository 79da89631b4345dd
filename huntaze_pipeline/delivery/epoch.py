"""Noticing that Redis lost its memory, and rebuilding it from the books.

The books are PostgreSQL's `attempts`: every call's intent is committed there before the call. The
checkpoint ``limiter`` names the epoch and the server whose memory is valid; a sender's intents
are accepted only under that epoch (`intents`), so no call slips past a rebuild unseen.
"""

import json
import uuid
from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, text

from huntaze_pipeline.delivery.accounts import Directory
from huntaze_pipeline.delivery.limiter import Limits, Parcel
from huntaze_pipeline.delivery.shards import RedisLimiter
from huntaze_pipeline.store.session import Store

CHECKPOINT = "limiter"
LOCK = 0x48554E4C  # "HUNL": one rebuild at a time, and no intent in the meantime
_MARGIN_S = 1.0
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
_WAITING = text("""
    select m.creator_id, m.id, m.account_id, m.priority,
        (extract(epoch from greatest(m.decided_at, m.not_before)) * 1000)::bigint as wanted
    from messages m
    where m.state = 'queued' and (m.account_id, m.id) > (:account, :id)
    order by m.account_id, m.id limit :page
""")


def adopt(store: Store, limiter: RedisLimiter, directory: Directory, *, lease_s: float) -> bool:
    """Make the limiter usable: accept its memory when it is whole, else rebuild it.

    Returns:
        Whether the memory had to be rebuilt (the first start counts as such).
    """
    limiter.run_id = None
    limiter.client.connection_pool.disconnect()
    with store.worker() as connection:
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": LOCK})
        limits = directory.every(connection)
        limiter.rest_s = max((limit.window_s for limit in limits.values()), default=60.0)
        server = limiter.server_id()
        known = _known(connection)
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


def repark(store: Store, limiter: RedisLimiter, directory: Directory) -> int:
    """Put every queued row back on its account's queue; return how many were missing there."""
    new = 0
    for parcels in waiting(store):
        new += limiter.enqueue(parcels, directory.limits({p.account_id for p in parcels}))
    return new


def waiting(store: Store) -> Iterator[list[Parcel]]:
    """Walk all rows that should be on a queue, page by page."""
    account, message = "", ""
    while True:
        with store.worker() as connection:
            rows = connection.execute(
                _WAITING, {"account": account, "id": message, "page": _PAGE}
            ).all()
        if rows:
            yield [Parcel(r.creator_id, r.id, r.account_id, r.priority, r.wanted) for r in rows]
            account, message = rows[-1].account_id, rows[-1].id
        if len(rows) < _PAGE:
            return


def _known(connection: Connection) -> dict[str, str]:
    row = connection.execute(
        text("select position from checkpoints where name = :name"), {"name": CHECKPOINT}
    ).scalar()
    return row or {}


def _remember(connection: Connection, position: dict[str, str]) -> None:
    connection.execute(
        text("""
            insert into checkpoints (name, position) values (:name, cast(:position as jsonb))
            on conflict (name) do update set position = excluded.position, updated_at = now()
        """),
        {"name": CHECKPOINT, "position": json.dumps(position)},
    )


def _rebuild(
    connection: Connection,
    limiter: RedisLimiter,
    limits: Mapping[str, Limits],
    epoch: str,
    lease_s: float,
) -> None:
    since = limiter.rest_s + lease_s + _MARGIN_S
    rows = connection.execute(_CALLS, {"lease": lease_s + _MARGIN_S, "since": since})
    calls = [_call(row.account_id, row.age, row.remaining) for row in rows]
    limiter.restore(epoch, calls, {a: limits[a] for a, _, _ in calls if a in limits})


def _call(account: str, age: float | None, remaining: float) -> tuple[str, int, int]:
    """An ended call by its age; one that may still arrive by when it must have ended."""
    if age is not None:
        return account, max(0, int(age)), 0
    if remaining <= 0:
        return account, max(0, int(-remaining)), 0
    return account, -1, int(remaining) + 1

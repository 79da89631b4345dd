"""The limiter in PostgreSQL: the same two-phase rule over `attempts`, while Redis is away.

Slow, and as exact: an account's row is locked, its calls and open permits are counted, and permits
are written before anybody else may count. The intent takes the permit's place (`intents`), its
result is the end of the call. The queues are the `queued` rows themselves.
Not here: when this one is used instead of Redis (`standby`).
"""

import json
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline.delivery.limiter import (
    AGING_MS,
    EVERYBODY,
    SHARE,
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
"""Whoever holds it and is not heard of for so long loses it, and its transaction."""
MARGIN_S = 1.0
_MARK = "books-"
"""How the handles of our own grants begin."""
BUSY_S = 0.05
"""An account whose row another sender holds is looked at again after this long."""

# How many calls of each account count now, and when its next call may start.
_ASKED = """
    asked as (
        select * from jsonb_to_recordset(cast(:limits as jsonb))
            as l(account text, count int, window_s float8, pool text)
    )
"""
_USED = """
    used as (
        select l.account, l.pool, l.count, u.ends, l.count - cardinality(u.ends) as free,
            greatest(r.until,
                u.ends[cardinality(u.ends) - l.count + 1] + make_interval(secs => l.window_s)
            ) as due
        from asked l
        left join rests r on r.account_id = l.account
        cross join lateral (
            select coalesce(array_agg(e.at order by e.at), '{}') as ends
            from (
                select case when result_at is not null and outcome <> 'unknown' then result_at
                    else intent_at + make_interval(secs => :lease) end as at
                from attempts
                where account_id = l.account and outcome is distinct from 'unused'
                    and intent_at > statement_timestamp()
                        - make_interval(secs => l.window_s + :lease + :margin)
                union all
                select until from permits where account_id = l.account
            ) e
            where e.at > statement_timestamp() - make_interval(secs => l.window_s)
        ) u
    )
"""
_SCORE = f"""
    extract(epoch from greatest(m.decided_at, m.not_before)) * 1000
        + case m.priority when 'high' then 0 when 'medium' then {AGING_MS} else 2 * {AGING_MS} end
"""
_QUEUED = """
    m.account_id = u.account and m.state = 'queued' and not exists (
        select from permits p where p.creator_id = m.creator_id and p.message_id = m.id
            and p.account_id = m.account_id and p.until > statement_timestamp())
"""
_NAMES = text("""
    with recursive names(id) as (
        (select account_id from messages where state in ('decided', 'queued', 'claimed')
            order by account_id limit 1)
        union all
        select (select account_id from messages where state in ('decided', 'queued', 'claimed')
            and account_id > n.id order by account_id limit 1)
        from names n where n.id is not null
    )
    select id from names where id is not null
""")
_DUE = text(f"""
    with {_ASKED}, {_USED}
    select u.account, greatest(0, extract(epoch from
        greatest(u.due, w.first) - statement_timestamp()))::float8 as wait_s
    from used u
    cross join lateral (
        select min(m.not_before) as first from messages m where {_QUEUED}
    ) w
    where w.first is not null
    order by wait_s
""")
_LOCK = text("""
    select id from accounts where id = any(:ids) order by id for no key update skip locked
""")
_TAKE = text(f"""
    with {_ASKED}, {_USED},
    heads as (
        select u.account, u.pool, m.creator_id, m.id, m.priority, m.score, m.rank
        from used u
        cross join lateral (
            select m.creator_id, m.id, m.priority, {_SCORE} as score,
                row_number() over (order by {_SCORE}, m.id) as rank
            from messages m
            where {_QUEUED} and m.not_before <= statement_timestamp()
            order by rank limit greatest(0, least(u.free, :budget))
        ) m
        where u.due is null or u.due <= statement_timestamp()
    ),
    ranked as (
        select *, row_number() over w as place, row_number() over (partition by pool
            order by (rank - 1) / {SHARE}, score, account) as nth
        from heads window w as (order by (rank - 1) / {SHARE}, score, account)
    ),
    chosen as (
        select r.* from ranked r
        left join jsonb_each_text(cast(:rooms as jsonb)) q on q.key = r.pool
        where r.nth <= coalesce(q.value::int, :budget) order by place limit :budget
    ),
    written as (
        insert into permits (creator_id, handle, account_id, message_id, until)
        select creator_id, :token || place, account, id,
            statement_timestamp() + make_interval(secs => :lease)
        from chosen
        returning creator_id, handle, account_id, message_id
    )
    select w.*, c.priority, c.place from written w join chosen c on :token || c.place = w.handle
    order by c.place
""")
_ROOMS = text("""
    select t.pool, greatest(0, t.count - count(e.at)) as room
    from jsonb_to_recordset(cast(:totals as jsonb)) as t(pool text, count int, window_s float8)
    left join lateral (
        select case when c.result_at is not null and c.outcome <> 'unknown' then c.result_at
            else c.intent_at + make_interval(secs => :lease) end as at
        from attempts c join accounts a on a.id = c.account_id
        where t.pool in (a.platform, '*') and c.outcome is distinct from 'unused'
            and c.intent_at > statement_timestamp()
                - make_interval(secs => t.window_s + :lease + :margin)
        union all
        select p.until from permits p join accounts a on a.id = p.account_id
        where t.pool in (a.platform, '*')
    ) e on e.at > statement_timestamp() - make_interval(secs => t.window_s)
    group by t.pool, t.count
""")
_FORGET = text("""
    with l as (
        select * from jsonb_to_recordset(cast(:limits as jsonb)) as l(account text, window_s float8)
    )
    delete from permits p using l where p.account_id = l.account
        and p.until < statement_timestamp() - make_interval(secs => l.window_s)
""")
_ENDED = """
    with r as (
        select * from jsonb_to_recordset(cast(:rows as jsonb)) as r(creator_id text, handle text,
            message_id text, account_id text, permit text, requeue float8, rest float8)
    )
"""
_UNUSED = text(f"""
    {_ENDED} delete from permits p using r
    where p.creator_id = r.creator_id and p.handle = r.handle and r.permit = 'unused'
""")
_SPENT = text(f"""
    {_ENDED} update permits p set until = clock_timestamp() from r
    where p.creator_id = r.creator_id and p.handle = r.handle and r.permit = 'spent'
""")
_LATER = text(f"""
    {_ENDED} update messages m set not_before = clock_timestamp() + make_interval(secs => r.requeue)
    from r
    where m.creator_id = r.creator_id and m.id = r.message_id and m.state = 'queued'
        and m.not_before < clock_timestamp() + make_interval(secs => r.requeue)
""")
_BACK = text(f"""
    {_ENDED} update messages m set state = 'decided', queued_at = null from r
    where m.creator_id = r.creator_id and m.id = r.message_id and m.state = 'queued'
        and r.requeue is not null
""")
_RESTS = text(f"""
    {_ENDED} insert into rests (creator_id, account_id, until)
    select creator_id, account_id, clock_timestamp() + make_interval(secs => max(rest))
    from r where rest is not null group by creator_id, account_id
    on conflict (creator_id, account_id)
        do update set until = greatest(rests.until, excluded.until)
""")
_VIEW = text(f"""
    with {_ASKED}, {_USED}
    select (select count(*) from unnest(u.ends) e where e <= statement_timestamp()) as calls,
        (select count(*) from unnest(u.ends) e where e > statement_timestamp()) as flying,
        (select count(*) from messages m where {_QUEUED}) as waiting,
        (select greatest(0, extract(epoch from r.until - statement_timestamp()))::float8
            from rests r where r.account_id = u.account) as rest_s,
        greatest(0, extract(epoch from u.due - statement_timestamp()))::float8 as wait_s
    from used u
""")


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

    def claim(self, budget: int, *, lease_s: float) -> Claimed:
        """Take permits; see `Limiter.claim`."""
        with self._store.worker(idle_s=IDLE_S) as connection:
            self._check(connection)
            names = [row.id for row in connection.execute(_NAMES)]
            limits = self._limits(names)
            values = {"lease": lease_s, "margin": MARGIN_S}
            due = connection.execute(_DUE, values | {"limits": _packed(limits, names)}).all()
            ready = [row.account for row in due if row.wait_s <= 0][:budget]
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
                }
                for s in settlements
            ]
        )  # fmt: skip
        with self._store.worker() as connection:
            for statement in (_UNUSED, _SPENT, _BACK if over else _LATER, _RESTS):
                connection.execute(statement, {"rows": rows})

    def peek(self, account_id: str) -> View:
        """Return what is known of an account."""
        known = self._limits([account_id])
        if account_id not in known:
            return View(None, 0, 0, 0, 0.0, None)
        values = {"lease": self._lease_s, "margin": MARGIN_S}
        with self._store.worker() as connection:
            packed = _packed(known, [account_id])
            row = connection.execute(_VIEW, values | {"limits": packed}).one()
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
        mine = [row.id for row in connection.execute(_LOCK, {"ids": list(ready)})]
        if not mine:
            return []
        packed = {"limits": _packed(limits, mine)}
        rooms = self._rooms(connection, values)
        budget = min(budget, rooms.pop(EVERYBODY, budget))
        packed["rooms"] = json.dumps(rooms)
        if not self._totals:  # a permit may count for longer in a pool than in its account
            connection.execute(_FORGET, packed)
        token = f"{_MARK}{uuid.uuid4().hex[:12]}-"
        rows = connection.execute(_TAKE, values | packed | {"budget": budget, "token": token})
        return [Grant(r.account_id, r.creator_id, r.message_id, r.handle, r.priority) for r in rows]

    def _rooms(self, connection: Connection, values: dict[str, Any]) -> dict[str, int]:
        """Count what is free of the limits that accounts share; nobody else does so meanwhile."""
        if not self._totals:
            return {}
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": LOCK + 1})
        totals = [
            {"pool": name, "count": total.count, "window_s": total.window_s}
            for name, total in self._totals.items()
        ]
        rows = connection.execute(_ROOMS, values | {"totals": json.dumps(totals)})
        return {row.pool: row.room for row in rows}


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

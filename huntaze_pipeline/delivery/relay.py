"""The relay: rings SQS for every decision that is due, or parks it directly when SQS is away.

A row is `queued` in the same transaction that rang for it. A crash in between rings twice, and
the second note finds nothing to do. Both ways end on the same account queues under the same
limiter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection, TextClause, text

from huntaze_pipeline.delivery import pauses
from huntaze_pipeline.delivery.accounts import Directory
from huntaze_pipeline.delivery.limiter import Limits, Parcel
from huntaze_pipeline.delivery.queue import Queue, QueueError
from huntaze_pipeline.delivery.rollout import Rollout
from huntaze_pipeline.store import outflow
from huntaze_pipeline.store.session import Store

BATCH = 12_000
"""Rows per transaction, at most: a sender that meets a note before its row is committed waits, and
so does who wants to cancel one. Half a second's work; many, so that a note has several messages."""
HOLD_S = 30.0
"""Rows of a paused campaign, automation or account are looked at again after this long."""

_MOVE = f"""
    with due as materialized (
        select m.creator_id, m.id,
            case
                when m.expires_at <= :now then 'expired'
                when c.status = 'cancelled' then '{outflow.CAMPAIGN_CANCELLED}'
                when c.status = 'paused' then 'campaign_paused'
                when r.paused_at is not null then 'automation_paused'
{pauses.VERDICTS}
                when a.status is distinct from 'active'
                    then 'account_' || coalesce(a.status, 'missing')
                else 'go'
            end as verdict
        from messages m
        left join campaigns c on m.source = 'campaign'
            and c.creator_id = m.creator_id and c.id = m.source_id
        left join automations r on m.source = 'automation'
            and r.creator_id = m.creator_id and r.id = m.source_id
        left join accounts a on a.id = m.account_id
        where m.state = 'decided' and m.not_before <= :now and {pauses.OPEN}
            and {{which}}
        order by m.not_before limit :limit
        for update of m skip locked
    )
    update messages m set
        state = case d.verdict when 'go' then 'queued' when 'expired' then 'expired'
            when '{outflow.CAMPAIGN_CANCELLED}' then 'cancelled' else 'decided' end,
        reason = nullif(d.verdict, 'go'),
        queued_at = case d.verdict when 'go' then :now else m.queued_at end,
        ended_at = case when d.verdict in ('expired', '{outflow.CAMPAIGN_CANCELLED}')
            then :now end,
        not_before = case when d.verdict in ('go', 'expired', '{outflow.CAMPAIGN_CANCELLED}')
            then m.not_before else :now + make_interval(secs => :hold) end
    from due d
    where m.creator_id = d.creator_id and m.id = d.id
    returning m.creator_id, m.id, m.account_id, m.priority, d.verdict,
        (extract(epoch from greatest(m.decided_at, m.not_before)) * 1000)::bigint as wanted
"""
_URGENT = text(_MOVE.format(which="m.priority = 'high'"))
_DUE = text(_MOVE.format(which="true"))
_BACK = text("""
    update messages set state = 'decided', queued_at = null
    where state = 'queued' and id = any(:ids)
""")


class Parking(Protocol):
    """The part of the limiter that the relay needs: the account queues."""

    def enqueue(self, parcels: Sequence[Parcel], limits: Mapping[str, Limits]) -> int:
        """Put messages on their accounts' queues."""
        ...


@dataclass(frozen=True, slots=True)
class Direct:
    """The way around SQS, straight to the account queues."""

    parking: Parking
    directory: Directory

    def park(self, parcels: Sequence[Parcel]) -> None:
        """Park the messages."""
        limits = self.directory.limits({p.account_id for p in parcels})
        self.parking.enqueue(parcels, limits)


def publish(
    store: Store,
    queue: Queue | None,
    now: datetime,
    *,
    limit: int = 10_000,
    direct: Direct | None = None,
    rollout: Rollout | None = None,
    urgent: bool = False,
) -> int:
    """Move due decisions on, or only the high ones; return how many are on their way now.

    The high ones go first, in a transaction of their own: nobody may touch a row until it commits,
    and ringing for hundreds of others takes a while. Rows that expired or whose campaign was
    cancelled end here with their reason. Several relays may run at once. Without a `direct` way,
    rows that SQS did not take stay `decided`.

    Raises:
        QueueError: SQS is away and there is no direct way.
    """
    moved = handled = 0
    which = [_URGENT] if urgent else [_URGENT, _DUE]
    while which and handled < limit:
        size = min(BATCH, limit - handled)
        with store.worker() as connection:
            rows = _moved(connection, which, now, size)
            due = [
                Parcel(row.creator_id, row.id, row.account_id, row.priority, row.wanted)
                for row in rows
                if row.verdict == "go"
            ]
            moved += len(due) - _back(connection, _ring(due, queue, direct, rollout or Rollout()))
        handled += len(rows)
    return moved


def _moved(
    connection: Connection, which: list[TextClause], now: datetime, size: int
) -> Sequence[Any]:
    """Move rows on by the first statement that finds some; one that finds few is done with."""
    rows: Sequence[Any] = ()
    while which and not rows:
        rows = connection.execute(which[0], {"now": now, "hold": HOLD_S, "limit": size}).all()
        if len(rows) < size:
            del which[0]
    return rows


def _ring(
    parcels: Sequence[Parcel], queue: Queue | None, direct: Direct | None, rollout: Rollout
) -> list[Parcel]:
    """Send each parcel its way; return those that found none."""
    inside = [p for p in parcels if queue and (direct is None or rollout.inside(p.account_id))]
    chosen = set(inside)
    outside = [p for p in parcels if p not in chosen]
    if queue and inside:
        try:
            outside += queue.send(inside)
        except QueueError:
            if direct is None:
                raise
            outside += inside
    if outside and direct:
        direct.park(outside)
        return []
    return outside


def _back(connection: Connection, parcels: Sequence[Parcel]) -> int:
    if parcels:
        connection.execute(_BACK, {"ids": [p.message_id for p in parcels]})
    return len(parcels)

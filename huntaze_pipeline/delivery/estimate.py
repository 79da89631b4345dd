"""When a waiting message will go: closed form, from the account's place in the books.

Pure arithmetic and one query. The books are PostgreSQL, so an estimate needs no Redis.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from huntaze_pipeline.delivery.limiter import AGING_MS, BANDS, Limits

LATENCY_S = 0.5
"""Typical time from a due message to the platform's answer."""
_STATE = text("""
    select
        (select count(*) from messages m
            where m.account_id = :account and m.state in ('queued', 'decided')
                and m.not_before <= :start
                and extract(epoch from greatest(m.decided_at, m.not_before)) * 1000
                    + case m.priority when 'high' then 0 when 'medium' then :aging
                        else 2 * :aging end <= :score
                and m.id <> :id) as ahead,
        (select coalesce(array_agg(extract(epoch from coalesce(result_at, now())
                + make_interval(secs => :window) - now())::float8), '{}')
            from attempts
            where account_id = :account
                and intent_at > now() - make_interval(secs => 2 * :window + 60)
                and outcome is distinct from 'unused') as frees
""")
"""One statement, so one snapshot: a message that is being called has its permit and waits no more.
Counted in both places it would seem to miss a slot, and that costs a whole window."""


def slot(rank: int, frees: Sequence[float], limits: Limits) -> float:
    """Return seconds until the message with `rank` others ahead of it has its slot.

    Args:
        rank: messages of the account that go first.
        frees: seconds until each permit in use is free again; those past do not count.
        limits: the account's.
    """
    used = sorted(f for f in frees if f > 0)[-limits.count :]
    slots = [0.0] * (limits.count - len(used)) + used
    return slots[rank % limits.count] + limits.window_s * (rank // limits.count)


def delivery(
    connection: Connection, message_id: str, account_id: str, priority: str, start: datetime,
    now: datetime, limits: Limits,
) -> datetime:  # fmt: skip
    """Estimate when a message that wants to go at `start` will be sent.

    Those that want to go at the same instant with the same priority count as ahead.
    """
    score = start.timestamp() * 1000 + BANDS.index(priority) * AGING_MS
    row = connection.execute(
        _STATE,
        {
            "account": account_id, "id": message_id, "start": start, "aging": AGING_MS,
            "score": score, "window": limits.window_s,
        },
    ).one()  # fmt: skip
    wait = slot(row.ahead, row.frees, limits)
    first = max(now + timedelta(seconds=wait), start)
    return first + timedelta(seconds=LATENCY_S)

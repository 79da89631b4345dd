"""How far a campaign is: its messages by state and reason, and the lines they wait in. Reading."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from huntaze_pipeline.campaigns.eta import Line


@dataclass(frozen=True, slots=True)
class Count:
    """So many messages of a campaign are in this state, for this reason."""

    state: str
    reason: str | None
    """Without its detail: `render_error`, not which word."""
    messages: int


_COUNTS = text(
    """
    select state, split_part(reason, ':', 1) as reason, count(*) as messages
    from messages
    where creator_id = :creator and source = 'campaign' and source_id = :campaign
    group by 1, 2 order by 3 desc, 1, 2
    """
)
_LINES = text(
    """
    with mine as (
        select account_id, max(not_before) as latest from messages
        where creator_id = :creator and source = 'campaign' and source_id = :campaign
          and state in ('decided', 'queued', 'claimed')
        group by account_id)
    select a.id, a.platform, a.limit_count, a.limit_window_s, w.due, w.waiting
    from mine
    join accounts a on a.creator_id = :creator and a.id = mine.account_id
    cross join lateral (
        select extract(epoch from greatest(m.not_before, :now) - :now)::float8 as due,
               count(*) as waiting
        from messages m
        where m.account_id = a.id and m.creator_id = :creator
          and m.state in ('decided', 'queued', 'claimed')
          and m.not_before <= greatest(mine.latest, :now)
        group by 1) as w
    order by a.id, w.due
    """
)
_USED = text(
    """
    select a.account_id, count(*) as used from attempts a
    where a.creator_id = :creator and a.account_id = any(:accounts)
      and coalesce(a.result_at, a.intent_at) > :now - make_interval(secs => :window)
      and a.outcome is distinct from 'unused'
    group by a.account_id
    """
)


def counts(connection: Connection, creator_id: str, campaign_id: str) -> list[Count]:
    """Return a campaign's messages by state and reason, the most frequent first."""
    names = {"creator": creator_id, "campaign": campaign_id}
    return [Count(*row) for row in connection.execute(_COUNTS, names)]


def lines(
    connection: Connection,
    creator_id: str,
    campaign_id: str,
    now: datetime,
    standard: Callable[[str], tuple[int, float]],
) -> list[Line]:
    """Return what waits at the accounts of a campaign, up to its last message there.

    Other messages of the same accounts are in it: they share the limit.

    Args:
        connection: PostgreSQL, as the creator.
        creator_id: whose campaign.
        campaign_id: which.
        now: the instant from which waiting is counted.
        standard: a platform's (count, window in seconds), for accounts without their own.
    """
    names = {"creator": creator_id, "campaign": campaign_id, "now": now}
    found: dict[str, tuple[int, float, dict[float, int]]] = {}
    for row in connection.execute(_LINES, names):
        count, window = standard(row.platform)
        limits = (row.limit_count or count, float(row.limit_window_s or window))
        found.setdefault(row.id, (*limits, {}))[2][row.due] = row.waiting
    used = _used(connection, creator_id, found, now)
    return [Line(name, *line, used.get(name, 0)) for name, line in found.items()]


def _used(
    connection: Connection,
    creator_id: str,
    found: dict[str, tuple[int, float, dict[float, int]]],
    now: datetime,
) -> dict[str, int]:
    by_window: dict[float, list[str]] = {}
    for name, (_, window, _) in found.items():
        by_window.setdefault(window, []).append(name)
    used: dict[str, int] = {}
    for window, names in by_window.items():
        values = {"creator": creator_id, "accounts": names, "window": window, "now": now}
        used |= {row.account_id: row.used for row in connection.execute(_USED, values)}
    return used

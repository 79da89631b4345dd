"""How far a campaign is: its messages by state and reason, and the lines they wait in. Reading."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from huntaze_pipeline.campaigns.eta import Line, seconds
from huntaze_pipeline.rulebook.decision import Decision

Standard = Callable[[str, str], tuple[int, float]]
"""(count, window in seconds) by platform and account, as the policies say."""


@dataclass(frozen=True, slots=True)
class Count:
    """How many messages of a campaign are in a state, for a reason."""

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
_MINE = text(
    """
    select account_id, max(not_before) as latest from messages
    where creator_id = :creator and source = 'campaign' and source_id = :campaign
      and state in ('decided', 'queued', 'claimed')
    group by account_id
    """
)
_LINES = text(
    """
    select a.id, a.platform, a.limit_count, a.limit_window_s, w.due, w.waiting
    from unnest(cast(:accounts as text[]), cast(:latest as timestamptz[])) as mine(id, latest)
    join accounts a on a.creator_id = :creator and a.id = mine.id
    left join lateral (
        select extract(epoch from greatest(m.not_before, :now) - :now)::float8 as due,
               count(*) as waiting
        from messages m
        where m.account_id = a.id and m.creator_id = :creator
          and m.state in ('decided', 'queued', 'claimed')
          and m.not_before <= greatest(mine.latest, :now)
        group by 1) as w on true
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
    standard: Standard,
) -> list[Line]:
    """Return what waits at the accounts of a campaign, up to its last message there.

    Other messages of the same accounts are in it: they share the limit.

    Args:
        connection: PostgreSQL, as the creator.
        creator_id: whose campaign.
        campaign_id: which.
        now: the instant from which waiting is counted.
        standard: (count, window in seconds) of accounts without a limit of their own.
    """
    names = {"creator": creator_id, "campaign": campaign_id}
    latest = {row.account_id: row.latest for row in connection.execute(_MINE, names)}
    return _waiting(connection, creator_id, latest, now, standard)


def ahead(
    connection: Connection,
    creator_id: str,
    decisions: Sequence[Decision],
    now: datetime,
    at: datetime,
    standard: Standard,
) -> list[Line]:
    """Return the lines of decisions that are not made yet, behind what waits already.

    Args:
        connection: PostgreSQL, as the creator.
        creator_id: whose decisions.
        decisions: those that would go out.
        now: the present; what will be out by `at` is in nobody's way.
        at: when they would be decided; the lines begin there.
        standard: as in `lines`.
    """
    latest: dict[str, datetime] = {}
    due: dict[str, Counter[float]] = {}
    for d in decisions:
        latest[d.account_id] = max(d.not_before, latest.get(d.account_id, d.not_before))
        after = max((d.not_before - at).total_seconds(), 0.0)
        due.setdefault(d.account_id, Counter())[after] += 1
    away = (at - now).total_seconds()
    there = {
        line.account_id: line for line in _waiting(connection, creator_id, latest, now, standard)
    }
    return [_behind(there[name], due[name], away) for name in sorted(due) if name in there]


def _behind(line: Line, due: Counter[float], away: float) -> Line:
    """Put what would come behind a line as it will be after `away` seconds."""
    total, used = Counter(due), line.used if away < line.window_s else 0
    if away <= 0 or seconds(line) > away:
        for after, waiting in line.due.items():
            total[max(after - away, 0.0)] += waiting
    else:
        used = 0
    return Line(line.account_id, line.count, line.window_s, dict(sorted(total.items())), used)


def _waiting(
    connection: Connection,
    creator_id: str,
    latest: Mapping[str, datetime],
    now: datetime,
    standard: Standard,
) -> list[Line]:
    """Return what waits at accounts, each up to an instant."""
    names = {"creator": creator_id, "now": now, "accounts": list(latest),
             "latest": list(latest.values())}  # fmt: skip
    found: dict[str, tuple[int, float, dict[float, int]]] = {}
    for row in connection.execute(_LINES, names):
        count, window = standard(row.platform, row.id)
        limits = (row.limit_count or count, float(row.limit_window_s or window))
        line = found.setdefault(row.id, (*limits, {}))
        if row.due is not None:
            line[2][row.due] = row.waiting
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

"""The numbers of the whole installation, from PostgreSQL and SQS. Sending them is elsewhere.

A message that waits for its account's slot is not late: that wait is the limiter doing its work. So
depth and latency speak of the way *to* the account queues (due decisions and SQS), which is short
while all is well; what waits for slots is `MessagesWaiting`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from huntaze_pipeline.delivery.queue import Queue, QueueError
from huntaze_pipeline.events.envelope import MICROS
from huntaze_pipeline.measurement import analytics, rates
from huntaze_pipeline.rulebook import live
from huntaze_pipeline.store.session import Store
from huntaze_pipeline.warehouse.goals import Declared
from huntaze_pipeline.warehouse.raw import Bot

SETTLE = timedelta(seconds=5)
"""A row's time is taken before it commits: windows end this long ago, so that none is missed."""
MINUTE = timedelta(minutes=1)
FAILED = ("failed", "unknown")


@dataclass(frozen=True, slots=True)
class Sample:
    """One number, or for a distribution several with how often each came."""

    name: str
    unit: str
    """CloudWatch's word: Count, Seconds, Percent or None."""
    values: Mapping[float, int]
    """Value → how often."""
    dimensions: Mapping[str, str] = field(default_factory=dict)

    @property
    def value(self) -> float:
        """The number; of a distribution, the greatest."""
        return max(self.values, default=0.0)


def one(name: str, unit: str, value: float, **dimensions: str) -> Sample:
    """Return a sample of a single number."""
    return Sample(name, unit, {float(value): 1}, dimensions)


def gather(
    store: Store,
    *,
    since: datetime,
    until: datetime,
    goals: Declared,
    bots: Sequence[Bot] = (),
    queue: Queue | None = None,
    open_circuits: Mapping[str, bool] | None = None,
) -> list[Sample]:
    """Count what happened in a window and what waits now.

    Args:
        store: the database.
        since: start of the window, excluded.
        until: its end, included; take `now - SETTLE`.
        goals: what counts, and how long touches may earn credit; see rules/goals.yaml.
        bots: by what machines are known; see rules/bots.yaml.
        queue: SQS; without it, or when it is away, its depth is left out.
        open_circuits: for each platform, whether its breaker is open.
    """
    with store.worker() as connection:
        samples = [
            *_flow(connection, since, until),
            *_latency(connection, since, until),
            *_waiting(connection, until, _depth(queue)),
            *_campaigns(connection, since, until),
            _rules(connection),
            *_results(connection, goals, bots),
        ]
    opened = open_circuits or {}
    samples += [
        one(name, "Count", is_open, Platform=p)
        for name in ("CircuitState", "BreakerOpen")
        for p, is_open in opened.items()
    ]
    return [*samples, one("CircuitsOpen", "Count", sum(opened.values()))]


def _flow(connection: Connection, since: datetime, until: datetime) -> list[Sample]:
    """Count messages queued, sent and failed in the window, by platform, and their error rate."""
    rows = connection.execute(
        text(
            """
            select platform,
                   count(*) filter (where queued_at > :since and queued_at <= :until) as queued,
                   count(*) filter (where sent_at > :since and sent_at <= :until) as sent,
                   count(*) filter (where state = any(:failed)
                                    and ended_at > :since and ended_at <= :until) as failed
            from messages
            where queued_at > :since or sent_at > :since or ended_at > :since
            group by platform order by platform
            """
        ),
        {"since": since, "until": until, "failed": list(FAILED)},
    ).all()
    samples = []
    for name in ("queued", "sent", "failed"):
        metric = f"Messages{name.title()}"
        samples.append(one(metric, "Count", sum(getattr(row, name) for row in rows)))
        samples += [one(metric, "Count", getattr(r, name), Platform=r.platform) for r in rows]
    ended = sum(row.sent + row.failed for row in rows)
    rate = 100 * sum(row.failed for row in rows) / ended if ended else 0.0
    return [*samples, one("ErrorRate", "Percent", rate)]


def _latency(connection: Connection, since: datetime, until: datetime) -> list[Sample]:
    """Return how long messages took from being due to being queued, to a tenth of a second."""
    rows = connection.execute(
        text(
            """
            select cast(round(greatest(extract(epoch from
                       queued_at - greatest(decided_at, not_before)), 0), 1) as float) as value,
                   count(*) as n
            from messages where queued_at > :since and queued_at <= :until group by 1
            """
        ),
        {"since": since, "until": until},
    )
    found = {row.value: row.n for row in rows}
    return [Sample("QueueLatency", "Seconds", found)] if found else []


def _waiting(connection: Connection, now: datetime, notes: int | None) -> list[Sample]:
    """Count what is due and has not been taken, and what waits for its account's slot."""
    row = connection.execute(
        text(
            """
            select count(*) filter (where state = 'decided' and not_before <= :now
                                    and reason is null) as due,
                   count(*) filter (where state = 'queued') as parked,
                   extract(epoch from :now - min(greatest(decided_at, not_before)) filter
                       (where state = 'decided' and not_before <= :now and reason is null)) as
                       oldest
            from messages where state in ('decided', 'queued')
            """
        ),
        {"now": now},
    ).one()
    samples = [
        one("QueueDepth", "Count", row.due + (notes or 0)),
        one("MessagesWaiting", "Count", row.parked),
        one("OldestDue", "Seconds", max(float(row.oldest or 0), 0.0)),
    ]
    return samples if notes is None else [*samples, one("QueueNotes", "Count", notes)]


def _depth(queue: Queue | None) -> int | None:
    """Return how many notes SQS holds, or None when it cannot be asked."""
    if queue is None:
        return None
    try:
        return sum(depth.waiting for depth in queue.depths() if not depth.dead)
    except QueueError:
        return None


def _campaigns(connection: Connection, since: datetime, until: datetime) -> list[Sample]:
    active = connection.scalar(text("select count(*) from campaigns where status = 'active'"))
    rows = connection.execute(
        text(
            """
            select creator_id, source_id, count(*) as n from messages
            where source = 'campaign' and sent_at > :since and sent_at <= :until
            group by 1, 2 order by 1, 2
            """
        ),
        {"since": since, "until": until},
    )
    by_campaign = [
        one("MessagesSentByCampaign", "Count", r.n, Creator=r.creator_id, Campaign=r.source_id)
        for r in rows
    ]
    return [one("CampaignsActive", "Count", active or 0), *by_campaign]


def _rules(connection: Connection) -> Sample:
    """Count the live automations that cannot be read: they let nobody in and hold their steps."""
    broken: set[tuple[str, str]] = set()
    live.automations(connection, faults=[], broken=broken)
    return one("RulesBroken", "Count", len(broken))


def _results(connection: Connection, goals: Declared, bots: Sequence[Bot]) -> list[Sample]:
    """Return conversion rate and revenue so far of every active campaign."""
    rows = connection.execute(
        text(
            """
            select c.id, c.currency, array_agg(p.id order by p.id) as campaigns
            from creators c join campaigns p on p.creator_id = c.id
            where p.status = 'active' group by 1, 2 order by 1
            """
        )
    ).all()
    samples: list[Sample] = []
    for creator, currency, campaigns in rows:
        facts = analytics.facts(connection, creator, campaigns, goals, bots)
        for campaign, counts in analytics.totals(facts, currency).items():
            samples += _result(counts, Creator=creator, Campaign=campaign)
    return samples


def _result(counts: analytics.Counts, **dimensions: str) -> Sequence[Sample]:
    (share,) = (rate for rate in rates.of(counts) if rate.metric == "conversion")
    return (
        one("ConversionRate", "Percent", 100 * (share.rate or 0.0), **dimensions),
        one("RevenueGenerated", "None", counts.revenue_micros / MICROS, **dimensions),
    )

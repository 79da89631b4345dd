"""Live campaign numbers, straight from PostgreSQL: what the inbox and the messages say right now.

They are provisional: purchases may still come, receipts may be late, and nothing older than the
inbox is seen. The settled numbers are the lake's `metrics.*`. Both count the same way: a click
implies an open implies a delivery implies a send, once per message; a purchase is credited once, to
the fan's last touch inside its window.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date

from sqlalchemy import Connection, text

from huntaze_pipeline.warehouse.raw import Window

STEPS = ("sent", "delivered", "opened", "clicked")
"""In order: each implies those before it."""


@dataclass(slots=True)
class Counts:
    """What a campaign has reached so far; messages, except for conversions (purchases)."""

    sent: int = 0
    delivered: int = 0
    opened: int = 0
    clicked: int = 0
    converted: int = 0
    revenue_micros: int = 0
    """In the creator's currency; other currencies are in `Analytics.elsewhere`."""

    def __add__(self, other: "Counts") -> "Counts":
        """Return both together."""
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True, slots=True)
class Analytics:
    """One campaign, seen three ways; each adds up to the same total."""

    overview: Counts
    by_platform: Mapping[str, Counts]
    timeline: Mapping[date, Counts]
    """By the day on which each thing happened, in the creator's zone; empty days are absent."""
    elsewhere: Mapping[str, int] = field(default_factory=dict)
    """Micro-units of revenue in currencies other than the creator's: never added up with it."""


@dataclass(frozen=True, slots=True)
class Fact:
    """So many things of one kind, of one campaign, on one platform and day."""

    campaign_id: str
    platform: str
    day: date
    kind: str
    """A step, or `converted`."""
    n: int
    micros: int = 0
    currency: str | None = None


_TOUCHES = """
    with touch as (
        select campaign_id, coalesce(message_id, 'fan:' || fan_id) as key,
               coalesce(max(platform), 'unknown') as platform,
               min(occurred_at) as sent,
               min(occurred_at) filter (where name in ('delivered', 'opened', 'clicked'))
                   as delivered,
               min(occurred_at) filter (where name in ('opened', 'clicked')) as opened,
               min(occurred_at) filter (where name = 'clicked') as clicked
        from inbox
        where creator_id = :creator and campaign_id = any(:campaigns)
          and name in ('sent', 'delivered', 'opened', 'clicked')
        group by 1, 2
    )
    select campaign_id, platform, cast(timezone(:zone, at) as date) as day, kind, count(*) as n
    from touch cross join lateral
         (values ('sent', sent), ('delivered', delivered), ('opened', opened), ('clicked', clicked))
         as step(kind, at)
    where at is not null
    group by 1, 2, 3, 4
"""
# A touch exactly as old as its window counts, one after the purchase does not; ties go to the
# greater id; a platform's own window wins over the one for all ("*").
_CONVERSIONS = """
    with windows as (
        select * from jsonb_to_recordset(cast(:windows as jsonb))
            as w(platform text, touch text, seconds bigint)
    ), reached as (
        select distinct fan_id from inbox
        where creator_id = :creator and campaign_id = any(:campaigns)
          and name in ('sent', 'delivered', 'opened', 'clicked')
    ), touch as (
        select i.fan_id, i.campaign_id, coalesce(i.platform, 'unknown') as platform,
               i.occurred_at, i.event_id,
               interval '1 second' * coalesce(own.seconds, every.seconds) as lasts
        from inbox i join reached using (fan_id)
        left join windows own on own.touch = i.name and own.platform = i.platform
        left join windows every on every.touch = i.name and every.platform = '*'
        where i.creator_id = :creator and i.name in ('sent', 'delivered', 'opened', 'clicked')
          and (i.message_id is not null or i.campaign_id is not null)
          and coalesce(own.seconds, every.seconds) > 0
    ), credited as (
        select distinct on (p.event_id)
               t.campaign_id, t.platform, p.occurred_at, p.value_micros, p.currency
        from inbox p join touch t
          on t.fan_id = p.fan_id
         and t.occurred_at between p.occurred_at - t.lasts and p.occurred_at
        where p.creator_id = :creator and p.name in ('purchase', 'tip')
        order by p.event_id, t.occurred_at desc, t.event_id collate "C" desc
    )
    select campaign_id, platform, cast(timezone(:zone, occurred_at) as date) as day,
           'converted' as kind, count(*) as n,
           cast(coalesce(sum(value_micros), 0) as bigint) as micros, currency
    from credited
    where campaign_id = any(:campaigns)
    group by 1, 2, 3, currency
"""


def facts(
    connection: Connection,
    creator_id: str,
    campaigns: Sequence[str],
    windows: Sequence[Window],
) -> list[Fact]:
    """Count what the inbox holds of these campaigns, by platform and day.

    Args:
        connection: a transaction of this creator.
        creator_id: whose campaigns.
        campaigns: their ids.
        windows: how long each kind of touch may earn credit, by platform; see rules/goals.yaml.
    """
    zone = connection.scalar(
        text("select zone from creators where id = :creator"), {"creator": creator_id}
    )
    values = {
        "creator": creator_id,
        "campaigns": list(campaigns),
        "zone": zone or "UTC",
        "windows": json.dumps([_window(w) for w in windows if w.goal == "purchase"]),
    }
    rows = [*connection.execute(text(_TOUCHES), values).mappings()]
    rows += connection.execute(text(_CONVERSIONS), values).mappings()
    return [Fact(**row) for row in rows]


def totals(found: Iterable[Fact], currency: str) -> dict[str, Counts]:
    """Add facts up to one total for each campaign."""
    result: dict[str, Counts] = defaultdict(Counts)
    for fact in found:
        result[fact.campaign_id] += _counts(fact, currency)
    return dict(result)


def analyse(found: Iterable[Fact], currency: str) -> Analytics:
    """Put one campaign's facts together: the total, by platform and by day."""
    overview = Counts()
    platforms: dict[str, Counts] = defaultdict(Counts)
    days: dict[date, Counts] = defaultdict(Counts)
    elsewhere: dict[str, int] = defaultdict(int)
    for fact in found:
        counts = _counts(fact, currency)
        overview += counts
        platforms[fact.platform] += counts
        days[fact.day] += counts
        if fact.currency is not None and fact.currency != currency:
            elsewhere[fact.currency] += fact.micros
    return Analytics(
        overview, dict(sorted(platforms.items())), dict(sorted(days.items())), elsewhere
    )


def _counts(fact: Fact, currency: str) -> Counts:
    counts = Counts(**{fact.kind: fact.n})
    if fact.currency == currency:
        counts.revenue_micros = fact.micros
    return counts


def _window(window: Window) -> dict[str, object]:
    return {"platform": window.platform, "touch": window.touch, "seconds": window.seconds}

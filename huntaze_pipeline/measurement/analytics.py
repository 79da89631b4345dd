"""Live campaign numbers, straight from PostgreSQL: what the inbox and the messages say right now.

They are provisional: purchases may still come, receipts may be late, and nothing older than the
inbox is seen. The settled numbers are the lake's `metrics.*`. Both count the same way: a click
implies an open implies a delivery implies a send, once per message, with machines and without
(`touches`); a conversion is the campaign's own goal reached, credited once to the touch that its
goal's model gives most (`crediting`).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, text

from huntaze_pipeline.measurement import crediting, touches
from huntaze_pipeline.warehouse.goals import Declared
from huntaze_pipeline.warehouse.raw import Bot

Key = TypeVar("Key", str, date, "Hour")


@dataclass(slots=True)
class Counts:
    """What a campaign has reached so far; messages, except for conversions (its goal reached)."""

    sent: int = 0
    delivered: int = 0
    opened: int = 0
    clicked: int = 0
    human_opened: int = 0
    """Opened by the fan itself, not only by machines; see rules/bots.yaml."""
    human_clicked: int = 0
    converted: int = 0
    converters: int = 0
    """Fans who converted, each at its first conversion."""
    revenue_micros: int = 0
    """In the creator's currency; other currencies are in `Analytics.elsewhere`."""

    def __add__(self, other: "Counts") -> "Counts":
        """Return both together."""
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True, slots=True, order=True)
class Hour:
    """An hour as the creator's clock shows it; a day that is changed to winter time has 25."""

    at: datetime
    """Its beginning; in zones of half an hour, of the hour of UTC that it lies in."""
    day: date
    hour: int


@dataclass(frozen=True, slots=True)
class Analytics:
    """One campaign, seen several ways; each but `by_segment` adds up to the same total."""

    overview: Counts
    by_platform: Mapping[str, Counts]
    timeline: Mapping[date, Counts]
    """By the day on which each thing happened, in the creator's zone; empty days are absent."""
    elsewhere: Mapping[str, int] = field(default_factory=dict)
    """Micro-units of revenue in currencies other than the creator's: never added up with it."""
    by_variant: Mapping[str, Counts] = field(default_factory=dict)
    """By arm; `none` outside experiments."""
    by_segment: Mapping[str, Counts] = field(default_factory=dict)
    """By the segments the fan was in when its message was decided; they overlap."""
    hours: Mapping[Hour, Counts] = field(default_factory=dict)
    """As the timeline, by the hour."""


@dataclass(frozen=True, slots=True)
class Fact:
    """So many things of one kind, of one campaign, on one platform, for one arm, in one hour."""

    campaign_id: str
    platform: str
    variant_id: str
    hour: Hour
    kind: str
    """A step, a human step, or `converted`."""
    n: int
    converters: int = 0
    micros: int = 0
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """So many things of one kind, of one campaign, by fans of one segment."""

    segment_id: str
    kind: str
    n: int
    converters: int = 0
    micros: int = 0
    currency: str | None = None


_CONVERSIONS = f"""
    with {crediting.CREDITED}
    select campaign_id, platform, variant_id, {touches.HOURS}, 'converted' as kind,
           {crediting.SUMS}
    from credited group by 1, 2, 3, 4, 5, 6, currency
"""
_BY_SEGMENT = f"""
    with {crediting.CREDITED}
    select b.segment_id, 'converted' as kind, {crediting.SUMS}
    from credited c join members b on b.creator_id = :creator and b.fan_id = c.fan_id
     and b.entered_at <= c.decided_at and (b.left_at is null or c.decided_at < b.left_at)
    group by 1, currency
"""


def facts(
    connection: Connection,
    creator_id: str,
    campaigns: Sequence[str],
    goals: Declared,
    bots: Sequence[Bot] = (),
) -> list[Fact]:
    """Count what the inbox holds of these campaigns, by platform, arm and hour.

    Args:
        connection: a transaction of this creator.
        creator_id: whose campaigns.
        campaigns: their ids.
        goals: what counts, and how long each kind of touch may earn credit; see rules/goals.yaml.
        bots: by what machines are known; see rules/bots.yaml.
    """
    values = _values(connection, creator_id, campaigns, goals)
    rows = touches.by_hour(connection, values, bots)
    rows += connection.execute(text(_CONVERSIONS), values | touches.signs(bots)).mappings()
    return [_fact(row) for row in rows]


def shares(
    connection: Connection,
    creator_id: str,
    campaign_id: str,
    goals: Declared,
    bots: Sequence[Bot] = (),
) -> list[Share]:
    """Count the same of one campaign, by the segments of its recipients as they were decided."""
    values = _values(connection, creator_id, [campaign_id], goals)
    rows = touches.by_segment(connection, values, bots)
    rows += connection.execute(text(_BY_SEGMENT), values | touches.signs(bots)).mappings()
    return [Share(**row) for row in rows]


def _values(
    connection: Connection, creator_id: str, campaigns: Sequence[str], goals: Declared
) -> dict[str, Any]:
    zone = connection.scalar(
        text("select zone from creators where id = :creator"), {"creator": creator_id}
    )
    return {
        "creator": creator_id,
        "campaigns": list(campaigns),
        "zone": zone or "UTC",
    } | crediting.values(goals)


def _fact(row: Mapping[Any, Any]) -> Fact:
    told = dict(row)
    hour = Hour(told.pop("hour"), told.pop("day"), told.pop("hour_of_day"))
    return Fact(**told, hour=hour)


def totals(given: Iterable[Fact], currency: str) -> dict[str, Counts]:
    """Add facts up to one total for each campaign."""
    result: dict[str, Counts] = defaultdict(Counts)
    for fact in given:
        result[fact.campaign_id] += _counts(fact, currency)
    return dict(result)


def analyse(given: Iterable[Fact], currency: str, parts: Iterable[Share] = ()) -> Analytics:
    """Put one campaign's facts together: the total, and what it is made of."""
    facts_ = list(given)
    elsewhere: dict[str, int] = defaultdict(int)
    for fact in facts_:
        if fact.currency is not None and fact.currency != currency:
            elsewhere[fact.currency] += fact.micros
    return Analytics(
        overview=sum((_counts(fact, currency) for fact in facts_), Counts()),
        by_platform=_grouped(facts_, lambda fact: fact.platform, currency),
        by_variant=_grouped(facts_, lambda fact: fact.variant_id, currency),
        by_segment=_grouped(parts, lambda part: part.segment_id, currency),
        timeline=_grouped(facts_, lambda fact: fact.hour.day, currency),
        hours=_grouped(facts_, lambda fact: fact.hour, currency),
        elsewhere=elsewhere,
    )


def _grouped(rows: Iterable[Any], key: Callable[[Any], Key], currency: str) -> dict[Key, Counts]:
    counts: dict[Key, Counts] = defaultdict(Counts)
    for row in rows:
        counts[key(row)] += _counts(row, currency)
    return dict(sorted(counts.items()))


def _counts(fact: Fact | Share, currency: str) -> Counts:
    counts = Counts(**{fact.kind: fact.n})
    counts.converters = fact.converters
    if fact.currency == currency:
        counts.revenue_micros = fact.micros
    return counts

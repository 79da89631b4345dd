"""The gate on an audience, before the first message of an occurrence is queued.

A suite (`dbt_like_sql/quality/audience.yaml`) says what must hold; a broken `error` pauses the
campaign with the reason. A person mends the audience, or waives the gate for one occurrence with a
reason of their own (`lifecycle.start`); both are in the audit.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl
from duckdb import DuckDBPyConnection
from sqlalchemy import Connection, text

from huntaze_pipeline.campaigns.launch import Campaign
from huntaze_pipeline.campaigns.recipients import CHOSEN, targeted
from huntaze_pipeline.campaigns.variants import capped
from huntaze_pipeline.quality import history, judge, results, sieve, suite
from huntaze_pipeline.quality.judge import Verdict
from huntaze_pipeline.quality.results import Result
from huntaze_pipeline.quality.suite import Suite
from huntaze_pipeline.rulebook import live
from huntaze_pipeline.rulebook.policies import Policies
from huntaze_pipeline.store import audit
from huntaze_pipeline.warehouse import lake

ACTOR = "quality"
COLUMNS = ("fan_id", "zone", "consent", "platform", "address")
_ROWS = text(
    CHOSEN
    + """
    select f.id, coalesce(f.zone, nullif(r.zone, 'UTC')),
           case when not :needed then 'not_needed' when s.granted then 'granted'
                when s.granted is null then 'unknown' else 'refused' end,
           i.platform, i.normalised
    from chosen f join creators r on r.id = f.creator_id
    left join consents s on s.creator_id = f.creator_id and s.fan_id = f.id and s.topic = :topic
    left join lateral (
        select i.platform, i.normalised from identities i
        where i.creator_id = f.creator_id and i.fan_id = f.id
          and i.platform = any(cast(:platforms as text[]))
        order by array_position(cast(:platforms as text[]), i.platform) limit 1) i on true
    order by f.id
    """
)
_PREVIOUS = text(
    """
    select count(distinct fan_id) from messages
    where creator_id = :creator and source = 'campaign' and source_id = :id
      and occurrence <> :occurrence
    group by occurrence order by max(decided_at) desc limit 1
    """
)
_LATELY = text(
    """
    select percentile_disc(0.5) within group (order by n) from (
        select (
            select count(*) from fans f
            where f.creator_id = :creator and f.created_at <= t.at
              and (cardinality(cast(:segments as text[])) = 0 or exists (
                    select 1 from members m where m.creator_id = f.creator_id and m.fan_id = f.id
                      and m.segment_id = any(:segments) and m.entered_at <= t.at
                      and (m.left_at is null or m.left_at > t.at)))
              and not exists (
                    select 1 from members m where m.creator_id = f.creator_id and m.fan_id = f.id
                      and m.segment_id = any(:excluded) and m.entered_at <= t.at
                      and (m.left_at is null or m.left_at > t.at))) as n
        from unnest(array[1, 3, 7]) as d,
             lateral (select cast(:now as timestamptz) - make_interval(days => d) as at) t) x
    where n > 0
    """
)
_WAIVER = text("select waiver from campaigns where creator_id = :creator and id = :id")
_PASSED = text(
    """
    update campaigns set waiver = null, stopped = null
    where creator_id = :creator and id = :id and (waiver is not null or stopped is not null)
    """
)
_STOP = text(
    """
    update campaigns set status = 'paused', stopped = cast(:stopped as jsonb), updated_at = :now
    where creator_id = :creator and id = :id
    """
)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What the gate made of an audience."""

    size: int
    usual: int | None
    """How many it is usually; None: nothing to compare with."""
    results: tuple[Result, ...]

    @property
    def reason(self) -> str | None:
        """Why the campaign may not go; None: it may."""
        failed = results.failures(self.results)
        if not failed:
            return None
        usual = "" if self.usual is None else f", usually {self.usual:,}"
        return f"audience of {self.size:,}{usual}: " + "; ".join(r.sentence for r in failed)


def stops(
    connection: Connection,
    campaign: Campaign,
    policies: Policies,
    now: datetime,
    given: Suite | None = None,
) -> bool:
    """Inspect the audience of an occurrence that is due; pause the campaign when it fails.

    In the caller's transaction, which holds the campaign's row: the verdict, the pause and what is
    queued are one. A waiver lets this occurrence go, is noted in the audit, and is used up.
    """
    asked = given or suite.active("audience")
    verdict = inspect(connection, campaign, policies, now, asked)
    about = history.Subject(campaign.creator_id, asked.name, subject(campaign), "gate")
    history.keep(connection, about, verdict.results, now)
    names = {"creator": campaign.creator_id, "id": campaign.id, "now": now}
    if verdict.reason is None:
        connection.execute(_PASSED, names)
        return False
    waiver = connection.scalar(_WAIVER, names)
    stop = {"reason": verdict.reason, "due_at": campaign.due_at.isoformat(),
            "failed": [r.document() for r in results.failures(verdict.results)]}  # fmt: skip
    if waiver:
        connection.execute(_PASSED, names)
        _note(connection, campaign, "waived", now, stop | {"waiver": waiver})
        return False
    stopped = json.dumps(stop | {"at": now.isoformat()})
    connection.execute(_STOP, {**names, "stopped": stopped})
    _note(connection, campaign, "stopped", now, stop)
    return True


def inspect(
    connection: Connection, campaign: Campaign, policies: Policies, now: datetime, asked: Suite
) -> Inspection:
    """Count what the suite asks of a campaign's audience, as it is now."""
    with batch(connection, campaign, policies) as (con, size):
        usual = _usual(connection, campaign, now)
        found = sieve.measure(con, "audience", asked.resolved({"now": now, "usual": usual}))
    return Inspection(size, usual, tuple(found))


def judged(
    connection: Connection, campaign: Campaign, policies: Policies, now: datetime, asked: Suite
) -> Verdict:
    """Let the library judge a campaign's audience as it is now; seconds, so never in a tick."""
    with batch(connection, campaign, policies) as (con, _):
        usual = _usual(connection, campaign, now)
        return judge.judge(con, "audience", asked.resolved({"now": now, "usual": usual}))


@contextmanager
def batch(
    connection: Connection, campaign: Campaign, policies: Policies
) -> Iterator[tuple[DuckDBPyConnection, int]]:
    """Give the audience as the table `audience` of a DuckDB of its own, and its size."""
    values = targeted(campaign.creator_id, campaign.targeting) | {
        "topic": _topic(connection, campaign),
        "platforms": list(campaign.platforms),
    }
    needed = policies.topic(values["topic"]).consent
    rows = connection.execute(_ROWS, {**values, "needed": needed}).all()
    kept = set(capped([r[0] for r in rows], campaign.targeting.get("cap"), campaign.key))
    frame = pl.DataFrame(
        [tuple(r) for r in rows if r[0] in kept], dict.fromkeys(COLUMNS, pl.String), orient="row"
    )
    con = lake.engine()
    try:
        con.register("audience", frame.to_arrow())
        yield con, frame.height
    finally:
        con.close()


def _usual(connection: Connection, campaign: Campaign, now: datetime) -> int | None:
    """Return the size of the previous occurrence, else the median of the last week's segments."""
    values = targeted(campaign.creator_id, campaign.targeting) | {
        "id": campaign.id, "occurrence": campaign.occurrence, "now": now,
    }  # fmt: skip
    before = connection.scalar(_PREVIOUS, values)
    size = before if before else connection.scalar(_LATELY, values)
    cap = campaign.targeting.get("cap")
    return None if not size else min(int(size), int(cap)) if cap else int(size)


def _topic(connection: Connection, campaign: Campaign) -> str:
    if campaign.settings.get("topic"):
        return str(campaign.settings["topic"])
    known = live.templates(connection, [campaign.creator_id]).get(campaign.creator_id, {})
    template = known.get(campaign.template_id or "")
    return template.settings.topic if template else "marketing"


def subject(campaign: Campaign) -> str:
    """Name an occurrence's audience among the checks."""
    return f"campaign:{campaign.id}:{campaign.due_at.isoformat()}"


def _note(
    connection: Connection, campaign: Campaign, what: str, now: datetime, detail: dict[str, Any]
) -> None:
    audit.record(
        connection, campaign.creator_id, ACTOR, f"campaign.{what}", campaign.id, now, detail
    )

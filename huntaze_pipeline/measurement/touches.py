"""Live touches from PostgreSQL: what the inbox says of campaigns' messages, machines told apart.

The same definitions as the lake's `staging.stg_events.bot`, `staging.stg_touches` and
`metrics.campaign_hourly`, in PostgreSQL's words; a property test holds the two together. Not here:
conversions and adding up (`analytics`).
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline.warehouse.raw import Bot

HOURS = """
    date_trunc('hour', at, 'UTC') as hour, cast(timezone(:zone, at) as date) as day,
    cast(extract(hour from timezone(:zone, at)) as int) as hour_of_day
"""
"""SQL for when `at` was: its hour of UTC, and the day and hour in the creator's zone."""

# Letters by hand: what lower() makes of those outside ASCII depends on the server's locale.
_AGENT = (
    "translate(coalesce(i.properties->>'user_agent', i.properties->>'userAgent'),"
    " 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')"
)
_PATH = (
    "split_part(split_part(coalesce(i.properties->>'link', i.properties->>'url'), '?', 1), '#', 1)"
    " || '/'"
)
TRAPPED = f"""
    case when i.name in ('opened', 'clicked') then coalesce(
        i.properties->>'honeypot' = 'true'
        or position(cast(:trap as text) in {_PATH}) > 0, false)
    else false end
"""
"""SQL for an inbox row i that hit the hidden link."""
MACHINE = f"""
    case when i.name in ('opened', 'clicked') then coalesce(
        i.occurred_at >= m.sent_at and i.occurred_at < m.sent_at
            + interval '1 microsecond' * cast(
                cast(:paces as jsonb) ->> (i.platform || ':' || i.name) as bigint),
        false) or coalesce({_AGENT} ~ cast(:agents as text), false)
    else false end
"""
"""SQL for an inbox row i, about message m, that is too fast or names itself a machine."""
# Each message once: when which touch was first made by anybody, and first and last by no machine.
# `trap_*` are hits of the hidden link.
_MESSAGES = f"""
    told as (
        select i.campaign_id, i.fan_id, coalesce(i.message_id, i.campaign_id) as key, i.name,
               i.occurred_at, i.platform, m.variant_id, m.decided_at,
               i.name in ('opened', 'clicked') as looked,
               {TRAPPED} as trapped, {MACHINE} as machine
        from inbox i
        left join messages m on m.creator_id = i.creator_id and m.id = i.message_id
            and m.source = 'campaign' and m.source_id = i.campaign_id
        where i.creator_id = :creator and i.campaign_id = any(:campaigns)
          and i.name in ('sent', 'delivered', 'opened', 'clicked')
    ), message as (
        select campaign_id, fan_id, key,
               coalesce(min(variant_id collate "C"), 'none') as variant_id,
               min(decided_at) as decided_at,
               min(platform collate "C") as sent_on,
               min(platform collate "C") filter (where name <> 'sent') as delivered_on,
               min(platform collate "C") filter (where looked) as opened_on,
               min(platform collate "C") filter (where name = 'clicked') as clicked_on,
               min(occurred_at) as sent,
               min(occurred_at) filter (where name <> 'sent') as delivered,
               min(occurred_at) filter (where looked) as opened,
               min(occurred_at) filter (where name = 'clicked') as clicked,
               min(occurred_at) filter (where looked and not trapped and not machine) as open_first,
               max(occurred_at) filter (where looked and not trapped and not machine) as open_last,
               min(occurred_at) filter (where name = 'clicked' and not trapped and not machine)
                   as click_first,
               max(occurred_at) filter (where name = 'clicked' and not trapped and not machine)
                   as click_last,
               min(occurred_at) filter (where trapped) as trap_first,
               max(occurred_at) filter (where trapped) as trap_last
        from told group by campaign_id, fan_id, key
    )
"""
_STEPS = """
    step as (
        select m.*, s.kind, s.at, coalesce(s.platform, 'unknown') as platform
        from message m cross join lateral (values
            ('sent', m.sent, m.sent_on), ('delivered', m.delivered, m.delivered_on),
            ('opened', m.opened, m.opened_on), ('clicked', m.clicked, m.clicked_on),
            ('human_opened', {opened}, m.opened_on), ('human_clicked', {clicked}, m.clicked_on)
        ) as s(kind, at, platform)
        where s.at is not null
    )
"""


def _human(first: str, last: str) -> str:
    """The fan's own first touch: the first that is not close to a hit of the hidden link."""
    near = (
        "coalesce(abs(extract(epoch from m.{0} - m.trap_first)) <= :around"
        " or abs(extract(epoch from m.{0} - m.trap_last)) <= :around, false)"
    )
    return (
        f"case when not {near.format(first)} then m.{first}"
        f" when not {near.format(last)} then m.{last} end"
    )


_WITH = (
    "with"
    + _MESSAGES
    + ","
    + _STEPS.format(
        opened=_human("open_first", "open_last"), clicked=_human("click_first", "click_last")
    )
)
_BY_HOUR = text(
    _WITH
    + f"""
    select campaign_id, platform, variant_id, {HOURS}, kind, count(*) as n
    from step group by 1, 2, 3, 4, 5, 6, 7
    """
)
_BY_SEGMENT = text(
    _WITH
    + """
    select b.segment_id, s.kind, count(*) as n
    from step s join members b on b.creator_id = :creator and b.fan_id = s.fan_id
     and b.entered_at <= s.decided_at and (b.left_at is null or s.decided_at < b.left_at)
    group by 1, 2
    """
)


def by_hour(
    connection: Connection, values: Mapping[str, Any], bots: Sequence[Bot]
) -> list[Mapping[Any, Any]]:
    """Count touches by campaign, platform, arm and hour.

    Args:
        connection: a transaction of the creator.
        values: `creator`, `campaigns` and the creator's `zone`.
        bots: by what machines are known.
    """
    return _rows(connection, _BY_HOUR, values, bots)


def by_segment(
    connection: Connection, values: Mapping[str, Any], bots: Sequence[Bot]
) -> list[Mapping[Any, Any]]:
    """Count touches of one campaign by the segments of its recipients as they were decided."""
    return _rows(connection, _BY_SEGMENT, values, bots)


def _rows(
    connection: Connection, query: Any, values: Mapping[str, Any], bots: Sequence[Bot]
) -> list[Mapping[Any, Any]]:
    connection.execute(text("set local work_mem = '64MB'"))  # one campaign fits: no spilling sort
    return [*connection.execute(query, {**values, **signs(bots)}).mappings()]


def signs(bots: Sequence[Bot]) -> dict[str, Any]:
    """Return what `TRAPPED` and `MACHINE` ask for."""
    """Return the rules as the query takes them; what is not declared matches nothing."""
    trap = next((bot for bot in bots if bot.rule == "honeypot"), None)
    words = [re.escape(bot.value) for bot in bots if bot.rule == "agent"]
    return {
        "paces": json.dumps({b.value: b.micros for b in bots if b.rule == "faster_than"}),
        "agents": "|".join(words) or None,
        "trap": f"{trap.value}/" if trap else None,
        "around": trap.micros / 1_000_000 if trap else 0,
    }

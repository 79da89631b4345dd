"""Live conversions from PostgreSQL: who reached a campaign's goal, and to whom each is credited.

The same definitions as the lake's `staging.stg_conversions` and `marts.fct_conversions`, in
PostgreSQL's words; a property test holds the two together. Goals come from rules/goals.yaml with
their events, filters, values, windows and adopted models.
"""

import json
from typing import Any

from huntaze_pipeline.measurement import touches
from huntaze_pipeline.warehouse.goals import Declared

_NUMBER = r"'^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$'"
# A comparison with what an event does not have is false, whatever it asks.
_HOLDS = """
    case f.op
        when 'exists' then given is not null
        when 'missing' then given is null
        when '=' then case when f.number is null then given = f.text else n = f.number end
        when '<>' then case when f.number is null then given <> f.text else n <> f.number end
        when '<' then
            case when f.number is null then given < f.text collate "C" else n < f.number end
        when '<=' then
            case when f.number is null then given <= f.text collate "C" else n <= f.number end
        when '>' then
            case when f.number is null then given > f.text collate "C" else n > f.number end
        when '>=' then
            case when f.number is null then given >= f.text collate "C" else n >= f.number end
    end
"""
_PASSES = f"""
    exists (
        select 1
        from filters f
        cross join lateral (select case f.field
            when 'name' then i.name
            when 'value' then cast(cast(i.value_micros as float8) / 1e6 as text)
            when 'currency' then i.currency
            when 'platform' then i.platform
            when 'account_id' then i.account_id
            when 'campaign_id' then coalesce(i.campaign_id,
                case when m.source = 'campaign' then m.source_id end)
            when 'message_id' then i.message_id
            when 'kind' then 'live'
            else i.properties ->> substr(f.field, 12) end as given) v
        cross join lateral (select case when v.given ~ {_NUMBER}
            then cast(v.given as float8) end as n) w
        where f.goal = g.goal
        group by f.alternative
        having bool_and(coalesce({_HOLDS}, false)))
"""
# A touch exactly as old as its window counts, one after the conversion does not; ties go to the
# greater id; a platform's own window wins over the one for all ("*"). Of every model but `first`
# the largest credit, ties to the later touch, is the last touch's.
CREDITED = f"""
    goals as (
        select * from jsonb_to_recordset(cast(:goals as jsonb)) as g(goal text, event text,
            micros bigint, own_currency text, named boolean, filtered boolean, model text)
    ), filters as (
        select * from jsonb_to_recordset(cast(:filters as jsonb)) as f(goal text, alternative int,
            field text, op text, text text, number float8)
    ), windows as (
        select * from jsonb_to_recordset(cast(:windows as jsonb))
            as w(goal text, platform text, touch text, seconds bigint)
    ), mine as (
        select k.id as campaign_id, coalesce(c.settings ->> 'goal', 'purchase') as goal
        from unnest(cast(:campaigns as text[])) as k(id)
        left join campaigns c on c.creator_id = :creator and c.id = k.id
    ), wanted as (
        select goal from mine union select 'purchase'
    ), reached as (
        select distinct fan_id from inbox
        where creator_id = :creator and campaign_id = any(:campaigns)
          and name in ('sent', 'delivered', 'opened', 'clicked')
    ), conversion as (
        select i.event_id, i.fan_id, i.occurred_at as at, g.goal, g.model,
               coalesce(g.micros, i.value_micros, 0) as value_micros,
               case when g.micros is null then i.currency else g.own_currency end as currency,
               g.named and coalesce(i.campaign_id, i.message_id) is not null as named,
               coalesce(i.campaign_id, case when m.source = 'campaign' then m.source_id end)
                   as campaign_id,
               i.message_id, coalesce(i.platform, 'unknown') as platform
        from inbox i join goals g on g.event = i.name
        left join messages m on m.creator_id = i.creator_id and m.id = i.message_id
        where i.creator_id = :creator and g.goal in (select goal from wanted)
          and (i.fan_id in (select fan_id from reached)
               or (g.named and coalesce(i.campaign_id, i.message_id) is not null))
          and (not g.filtered or {_PASSES})
    ), touch as (
        select w.goal, i.fan_id, i.campaign_id, i.message_id, i.event_id, i.occurred_at,
               coalesce(i.platform, 'unknown') as platform,
               coalesce(i.message_id, i.campaign_id) as key,
               interval '1 second' * coalesce(own.seconds, every.seconds) as lasts
        from inbox i join reached using (fan_id)
        cross join wanted w
        left join windows own on own.goal = w.goal and own.touch = i.name
            and own.platform = i.platform
        left join windows every on every.goal = w.goal and every.touch = i.name
            and every.platform = '*'
        left join messages m on m.creator_id = i.creator_id and m.id = i.message_id
        where not ({touches.TRAPPED}) and not ({touches.MACHINE})
          and i.creator_id = :creator
          and i.name in ('sent', 'delivered', 'opened', 'clicked')
          and (i.message_id is not null or i.campaign_id is not null)
          and coalesce(own.seconds, every.seconds) > 0
    ), journey as (
        select distinct on (p.goal, p.event_id, t.key) p.goal, p.event_id, p.model, p.fan_id, p.at,
               p.value_micros, p.currency, t.campaign_id, t.message_id, t.platform,
               t.occurred_at as touched_at, t.event_id as touch_id
        from conversion p join touch t on t.goal = p.goal and t.fan_id = p.fan_id
         and t.occurred_at between p.at - t.lasts and p.at
        where not p.named
        order by p.goal, p.event_id, t.key, t.occurred_at desc, t.event_id collate "C" desc
    ), placed as (
        select j.*, row_number() over (journey order by touched_at, touch_id collate "C") as place,
               count(*) over (journey) as places
        from journey j window journey as (partition by goal, event_id)
    ), winner as (
        select goal, event_id, fan_id, at, value_micros, currency, campaign_id, message_id, platform
        from placed where place = case when model = 'first' then 1 else places end
        union all
        select goal, event_id, fan_id, at, value_micros, currency, campaign_id, message_id, platform
        from conversion where named
    ), credited as (
        select w.*, coalesce(m.variant_id, 'none') as variant_id, m.decided_at,
               w.goal = k.goal as counts, w.goal = 'purchase' as pays,
               row_number() over (partition by w.campaign_id, w.goal, w.fan_id
                   order by w.at, w.event_id) as nth
        from winner w join mine k on k.campaign_id = w.campaign_id
        left join messages m on m.creator_id = :creator and m.id = w.message_id
        where w.goal = k.goal or w.goal = 'purchase'
    )
"""
"""Conversions of campaigns, as `credited`: `counts` is its own goal, `pays` is revenue."""
SUMS = """
    count(*) filter (where counts) as n,
    count(*) filter (where counts and nth = 1) as converters,
    cast(coalesce(sum(value_micros) filter (where pays), 0) as bigint) as micros, currency
"""
"""What the rows of `credited` add up to, grouped by currency at least."""


def values(goals: Declared) -> dict[str, Any]:
    """Return what `CREDITED` asks for of the goals."""
    names = ("goal", "event", "micros", "own_currency", "named", "filtered", "model")
    parts = ("goal", "alternative", "field", "op", "text", "number")
    return {
        "goals": json.dumps([dict(zip(names, row, strict=False)) for row in goals.goals]),
        "filters": json.dumps([dict(zip(parts, row, strict=True)) for row in goals.filters]),
        "windows": json.dumps([window._asdict() for window in goals.windows]),
    }

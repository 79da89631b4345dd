/* ---
description: >
  Each campaign's numbers by segment: a message counts for every segment that its recipient was in when
  it was decided. Segments overlap, so these do not add up; history from files was not decided by us.
grain: [creator_id, campaign_id, segment_id]
owner: team:data
materialization: view
columns:
  creator_id: VARCHAR | the tenant
  campaign_id: VARCHAR | the campaign
  segment_id: VARCHAR | the segment
  sent: BIGINT | messages sent
  delivered: BIGINT | messages delivered
  opened: BIGINT | messages opened, machines included
  clicked: BIGINT | messages clicked, machines included
  human_opened: BIGINT | messages opened by the fan itself
  human_clicked: BIGINT | messages clicked by the fan itself
  converted: BIGINT | times that the campaign's goal was reached
  converters: BIGINT | fans who reached it
  revenue_micros: BIGINT | credited purchases, in the creator's currency
--- */
with parts as (
    select
        creator_id, campaign_id, fan_id, message_at as at, touch, human_at, null as goal,
        null as value_micros, null as currency
    from ref('staging.stg_touches')
    where campaign_id is not null and message_at is not null
    union all
    select
        c.creator_id, c.campaign_id, c.fan_id, m.decided_at, null, null, c.goal,
        c.value_micros, c.currency
    from ref('marts.fct_conversions') c
    join ref('staging.stg_messages') m using (creator_id, message_id)
    where c.campaign_id is not null
)
select
    p.creator_id, p.campaign_id, s.segment_id,
    count(*) filter (p.touch = 'sent') as sent,
    count(*) filter (p.touch = 'delivered') as delivered,
    count(*) filter (p.touch = 'opened') as opened,
    count(*) filter (p.touch = 'clicked') as clicked,
    count(p.human_at) filter (p.touch = 'opened') as human_opened,
    count(p.human_at) filter (p.touch = 'clicked') as human_clicked,
    count(*) filter (p.goal = d.goal) as converted,
    count(distinct p.fan_id) filter (p.goal = d.goal) as converters,
    coalesce(sum(p.value_micros) filter (p.goal = 'purchase' and p.currency = d.currency), 0)::bigint
        as revenue_micros
from parts p
join ref('marts.dim_campaigns') d using (creator_id, campaign_id)
join source('raw.members') s
    on s.creator_id = p.creator_id and s.fan_id = p.fan_id
    and s.entered_at <= p.at and (s.left_at is null or p.at < s.left_at)
group by all

/* ---
description: Each campaign's numbers by platform.
grain: [creator_id, campaign_id, platform]
owner: team:data
materialization: table
columns:
  creator_id: VARCHAR | the tenant
  campaign_id: VARCHAR | the campaign
  platform: VARCHAR | where; unknown when nobody said
  sent: BIGINT | messages sent
  delivered: BIGINT | of those, delivered
  opened: BIGINT | of those, opened
  clicked: BIGINT | of those, clicked
  converted: BIGINT | goals reached
  revenue_micros: BIGINT | credited purchases, in the creator's currency
--- */
with parts as (
    select
        creator_id, campaign_id, coalesce(platform, 'unknown') as platform, touch, 0 as converted,
        0 as micros
    from ref('staging.stg_touches')
    where campaign_id is not null
    union all
    select
        c.creator_id, c.campaign_id, coalesce(c.platform, 'unknown'), null,
        (c.goal = d.goal)::integer,
        case when c.goal = 'purchase' and c.currency = d.currency then c.value_micros else 0 end
    from ref('marts.fct_conversions') c
    join ref('marts.dim_campaigns') d using (creator_id, campaign_id)
)
select
    creator_id, campaign_id, platform,
    count(*) filter (touch = 'sent') as sent,
    count(*) filter (touch = 'delivered') as delivered,
    count(*) filter (touch = 'opened') as opened,
    count(*) filter (touch = 'clicked') as clicked,
    sum(converted)::bigint as converted,
    sum(micros)::bigint as revenue_micros
from parts
group by all

/* ---
description: Each campaign's numbers by day of the creator's zone.
grain: [creator_id, campaign_id, day]
owner: team:data
materialization: table
columns:
  creator_id: VARCHAR | the tenant
  campaign_id: VARCHAR | the campaign
  day: DATE | in the creator's zone
  sent: BIGINT | messages sent
  delivered: BIGINT | first deliveries
  opened: BIGINT | first opens
  clicked: BIGINT | first clicks
  converted: BIGINT | goals reached
  revenue_micros: BIGINT | credited purchases, in the creator's currency
--- */
with parts as (
    select
        t.creator_id, t.campaign_id, timezone(d.zone, t.touched_at)::date as day, t.touch, 0 as converted,
        0 as micros
    from ref('staging.stg_touches') t
    join ref('marts.dim_campaigns') d using (creator_id, campaign_id)
    union all
    select
        c.creator_id, c.campaign_id, timezone(d.zone, c.occurred_at)::date, null,
        (c.goal = d.goal)::integer,
        case when c.goal = 'purchase' and c.currency = d.currency then c.value_micros else 0 end
    from ref('marts.fct_conversions') c
    join ref('marts.dim_campaigns') d using (creator_id, campaign_id)
)
select
    creator_id, campaign_id, day,
    count(*) filter (touch = 'sent') as sent,
    count(*) filter (touch = 'delivered') as delivered,
    count(*) filter (touch = 'opened') as opened,
    count(*) filter (touch = 'clicked') as clicked,
    sum(converted)::bigint as converted,
    sum(micros)::bigint as revenue_micros
from parts
group by all

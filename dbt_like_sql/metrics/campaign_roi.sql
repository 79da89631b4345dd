/* ---
description: What each campaign cost and brought. Without a cost there is no ROI, and the reason says so.
grain: [creator_id, campaign_id]
owner: team:data
materialization: table
columns:
  creator_id: VARCHAR | the tenant
  campaign_id: VARCHAR | the campaign
  currency: VARCHAR | the creator's
  revenue_micros: BIGINT | credited purchases
  cost_micros: BIGINT | all costs booked on it
  roi: DOUBLE | (revenue - cost) / cost
  reason: VARCHAR | why roi is null
--- */
with spent as (
    select c.creator_id, c.campaign_id, sum(c.amount_micros)::bigint as micros
    from source('raw.costs') c
    join ref('marts.dim_campaigns') d using (creator_id, campaign_id)
    where c.currency = d.currency
    group by all
)
select
    m.creator_id, m.campaign_id, m.currency, m.revenue_micros,
    coalesce(s.micros, 0) as cost_micros,
    case when s.micros > 0 then (m.revenue_micros - s.micros)::double / s.micros end as roi,
    case when coalesce(s.micros, 0) <= 0 then 'no cost in ' || m.currency || ' is booked on it' end
        as reason
from ref('metrics.campaign_metrics') m
left join spent s using (creator_id, campaign_id)

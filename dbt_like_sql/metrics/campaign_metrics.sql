/* ---
description: >
  Each campaign's numbers. `converted` counts the campaign's own goal: coupons redeemed for imported
  mailings, purchases credited for the others. Revenue is credited purchases in the creator's currency.
grain: [creator_id, campaign_id]
owner: team:data
materialization: table
columns:
  creator_id: VARCHAR | the tenant
  campaign_id: VARCHAR | the campaign
  name: VARCHAR | its name
  kind: VARCHAR | imported or live
  goal: VARCHAR | what counts as converted
  audience: BIGINT | fans it was decided for, or of the past that it went to
  sent: BIGINT | messages sent
  delivered: BIGINT | of those, delivered
  opened: BIGINT | of those, opened
  clicked: BIGINT | of those, clicked
  converted: BIGINT | goals reached
  converters: BIGINT | fans who reached it
  purchases: BIGINT | purchases credited
  revenue_micros: BIGINT | their sum, in micro-units of `currency`
  currency: VARCHAR | the creator's
  foreign_purchases: BIGINT | credited purchases in other currencies, not in the sum
--- */
with touches as (
    select
        creator_id, campaign_id,
        count(*) filter (touch = 'sent') as sent,
        count(*) filter (touch = 'delivered') as delivered,
        count(*) filter (touch = 'opened') as opened,
        count(*) filter (touch = 'clicked') as clicked,
        count(distinct fan_id) filter (touch = 'sent') as reached
    from ref('staging.stg_touches')
    where campaign_id is not null
    group by all
),
decided as (
    select creator_id, campaign_id, count(*) as audience
    from ref('staging.stg_messages')
    where campaign_id is not null
    group by all
),
goals as (
    select
        c.creator_id, c.campaign_id,
        count(*) filter (c.goal = d.goal) as converted,
        count(distinct c.fan_id) filter (c.goal = d.goal) as converters,
        count(*) filter (c.goal = 'purchase') as purchases,
        coalesce(sum(c.value_micros) filter (c.goal = 'purchase' and c.currency = d.currency), 0)
            as revenue_micros,
        count(*) filter (c.goal = 'purchase' and c.currency <> d.currency) as foreign_purchases
    from ref('marts.fct_conversions') c
    join ref('marts.dim_campaigns') d using (creator_id, campaign_id)
    group by all
)
select
    d.creator_id, d.campaign_id, d.name, d.kind, d.goal,
    coalesce(a.audience, t.reached, 0) as audience,
    coalesce(t.sent, 0) as sent,
    coalesce(t.delivered, 0) as delivered,
    coalesce(t.opened, 0) as opened,
    coalesce(t.clicked, 0) as clicked,
    coalesce(g.converted, 0) as converted,
    coalesce(g.converters, 0) as converters,
    coalesce(g.purchases, 0) as purchases,
    coalesce(g.revenue_micros, 0)::bigint as revenue_micros,
    d.currency,
    coalesce(g.foreign_purchases, 0) as foreign_purchases
from ref('marts.dim_campaigns') d
left join touches t using (creator_id, campaign_id)
left join decided a using (creator_id, campaign_id)
left join goals g using (creator_id, campaign_id)

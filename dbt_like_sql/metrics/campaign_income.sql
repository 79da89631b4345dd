/* ---
description: >
  What purchases brought each campaign, by day and currency: the part that is credited to it under the
  adopted model (revenue), and the whole of every purchase with a touch of it in its window (influenced).
grain: [creator_id, campaign_id, kind, currency, day]
owner: team:data
materialization: incremental
incremental:
  partition: day
  reads:
    marts.fct_attribution: {time: occurred_at}
    marts.fct_credits: {time: occurred_at}
columns:
  creator_id: VARCHAR | the tenant
  campaign_id: VARCHAR | the campaign
  kind: VARCHAR | revenue or influenced
  currency: VARCHAR | of the purchases; none without money
  day: DATE | in UTC
  purchases: BIGINT | how many; of revenue, credits
  micros: BIGINT | their money
--- */
with purchases as (
    select
        creator_id, campaign_id, 'revenue' as kind, currency, occurred_at,
        value_micros as micros
    from ref('marts.fct_attribution')
    where goal = 'purchase' and campaign_id is not null
    union all
    select creator_id, campaign_id, 'influenced', currency, occurred_at, conversion_micros
    from (
        select distinct creator_id, campaign_id, conversion_id, currency, occurred_at, conversion_micros
        from ref('marts.fct_credits')
        where goal = 'purchase' and model = 'linear' and campaign_id is not null
    )
)
select
    creator_id, campaign_id, kind, coalesce(currency, 'none') as currency, occurred_at::date as day,
    count(*) as purchases, sum(micros)::bigint as micros
from purchases
group by all

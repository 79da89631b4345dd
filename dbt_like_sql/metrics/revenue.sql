/* ---
description: All revenue, and how much of it a campaign, an automation or nobody gets the credit for.
grain: [creator_id, currency, kind]
owner: team:data
materialization: incremental
incremental:
  key: [creator_id, currency, kind]
  reads: {staging.stg_purchases: {}, marts.fct_attribution: {}}
  merge:
    purchases: sum
    total_micros: sum
    attributed_micros: sum
    campaign_micros: sum
    automation_micros: sum
    unattributed_micros: sum
columns:
  creator_id: VARCHAR | the tenant
  currency: VARCHAR | ISO 4217
  kind: VARCHAR | imported or live
  purchases: BIGINT | how many
  total_micros: BIGINT | all revenue
  attributed_micros: BIGINT | with a touch that gets the credit
  campaign_micros: BIGINT | of that, to campaigns
  automation_micros: BIGINT | of that, to automations
  unattributed_micros: BIGINT | the rest
audits:
  nothing_twice: >
    select * from this
    where not (unattributed_micros between 0 and total_micros)
        or campaign_micros + automation_micros > attributed_micros
--- */
with paid as (
    select
        creator_id, coalesce(currency, 'unknown') as currency, kind,
        count(*) as purchases, sum(value_micros) as total_micros
    from ref('staging.stg_purchases')
    group by all
),
credited as (
    select
        creator_id, coalesce(currency, 'unknown') as currency, kind,
        sum(value_micros) as attributed_micros,
        sum(value_micros) filter (source = 'campaign') as campaign_micros,
        sum(value_micros) filter (source = 'automation') as automation_micros
    from ref('marts.fct_attribution')
    where goal = 'purchase' and attributed
    group by all
)
select
    creator_id, currency, kind,
    coalesce(p.purchases, 0) as purchases,
    coalesce(p.total_micros, 0)::bigint as total_micros,
    coalesce(c.attributed_micros, 0)::bigint as attributed_micros,
    coalesce(c.campaign_micros, 0)::bigint as campaign_micros,
    coalesce(c.automation_micros, 0)::bigint as automation_micros,
    (coalesce(p.total_micros, 0) - coalesce(c.attributed_micros, 0))::bigint as unattributed_micros
from paid p
full join credited c using (creator_id, currency, kind)

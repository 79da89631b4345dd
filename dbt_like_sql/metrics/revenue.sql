/* ---
description: All revenue, and how much of it a campaign, an automation or nobody gets the credit for.
grain: [creator_id, currency, kind]
owner: team:data
materialization: table
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
with credited as (
    select
        creator_id, conversion_id as event_id,
        sum(value_micros) as micros,
        sum(value_micros) filter (source = 'campaign') as campaign_micros,
        sum(value_micros) filter (source = 'automation') as automation_micros
    from ref('marts.fct_attribution')
    where goal = 'purchase' and attributed
    group by all
)
select
    p.creator_id, coalesce(p.currency, 'unknown') as currency, p.kind,
    count(*) as purchases,
    sum(p.value_micros)::bigint as total_micros,
    coalesce(sum(c.micros), 0)::bigint as attributed_micros,
    coalesce(sum(c.campaign_micros), 0)::bigint as campaign_micros,
    coalesce(sum(c.automation_micros), 0)::bigint as automation_micros,
    (sum(p.value_micros) - coalesce(sum(c.micros), 0))::bigint as unattributed_micros
from ref('staging.stg_purchases') p
left join credited c using (creator_id, event_id)
group by all

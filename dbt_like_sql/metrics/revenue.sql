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
  adds_up: >
    select * from this where total_micros <> attributed_micros + unattributed_micros
--- */
select
    creator_id, coalesce(currency, 'unknown') as currency, kind,
    count(*) as purchases,
    sum(value_micros)::bigint as total_micros,
    coalesce(sum(value_micros) filter (attributed), 0)::bigint as attributed_micros,
    coalesce(sum(value_micros) filter (source = 'campaign'), 0)::bigint as campaign_micros,
    coalesce(sum(value_micros) filter (source = 'automation'), 0)::bigint as automation_micros,
    coalesce(sum(value_micros) filter (not attributed), 0)::bigint as unattributed_micros
from ref('marts.fct_attribution')
group by all

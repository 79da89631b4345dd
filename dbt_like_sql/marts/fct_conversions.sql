/* ---
description: >
  Goals that were reached. Purchases carry the credit of marts.fct_attribution; redemptions name their
  campaign themselves.
grain: [creator_id, event_id]
owner: team:data
materialization: table
columns:
  creator_id: VARCHAR | the tenant
  event_id: VARCHAR | the event
  goal: VARCHAR | purchase or redeemed
  fan_id: VARCHAR | who reached it
  occurred_at: TIMESTAMPTZ | when
  value_micros: BIGINT | money, null for redemptions
  currency: VARCHAR | of the money
  kind: VARCHAR | imported or live
  how: VARCHAR | last_touch, named by the event, or null when nobody gets the credit
  source: VARCHAR | campaign, automation or api
  source_id: VARCHAR | which one
  campaign_id: VARCHAR | the campaign with the credit
  message_id: VARCHAR | the message with the credit
  variant_id: VARCHAR | its arm
  platform: VARCHAR | where the credit goes
--- */
select
    creator_id, conversion_id as event_id, 'purchase' as goal, fan_id, occurred_at, value_micros,
    currency, kind, case when attributed then 'last_touch' end as how, source, source_id,
    campaign_id, message_id, variant_id, platform
from ref('marts.fct_attribution')
union all
select
    r.creator_id, r.event_id, 'redeemed', r.fan_id, r.occurred_at, null, null, r.kind,
    case when coalesce(m.source_id, r.campaign_id) is not null then 'named' end,
    coalesce(m.source, case when r.campaign_id is not null then 'campaign' end),
    coalesce(m.source_id, r.campaign_id), coalesce(m.campaign_id, r.campaign_id),
    r.message_id, m.variant_id, r.platform
from ref('staging.stg_redemptions') r
left join ref('staging.stg_messages') m using (creator_id, message_id)

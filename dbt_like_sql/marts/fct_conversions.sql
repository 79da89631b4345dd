/* ---
description: >
  Goals that were reached, one row each, with the touch that has the largest credit (all of it under
  models that credit one touch). Money by campaign is summed from marts.fct_attribution.
grain: [creator_id, goal, event_id]
owner: team:data
materialization: incremental
incremental:
  partition: occurred_at
  reads:
    marts.fct_attribution: {time: occurred_at}
columns:
  creator_id: VARCHAR | the tenant
  event_id: VARCHAR | the event
  goal: VARCHAR | its name in rules/goals.yaml
  fan_id: VARCHAR | who reached it
  occurred_at: TIMESTAMPTZ | when
  value_micros: BIGINT | the whole value
  currency: VARCHAR | of the value
  kind: VARCHAR | imported or live
  how: VARCHAR | the adopted model, named by the event, or null when nobody gets the credit
  source: VARCHAR | campaign, automation or api
  source_id: VARCHAR | which one
  campaign_id: VARCHAR | the campaign with the largest credit
  message_id: VARCHAR | the message
  variant_id: VARCHAR | its arm
  platform: VARCHAR | where the credit goes
--- */
select
    creator_id, conversion_id as event_id, goal, fan_id, occurred_at,
    conversion_micros as value_micros, currency, kind, model as how, source, source_id, campaign_id,
    message_id, variant_id, platform
from ref('marts.fct_attribution')
where largest

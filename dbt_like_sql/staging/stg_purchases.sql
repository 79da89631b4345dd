/* ---
description: Money that fans spent; purchases and tips.
grain: [creator_id, event_id]
owner: team:data
materialization: incremental
incremental:
  partition: occurred_at
  reads:
    staging.stg_events: {time: occurred_at}
columns:
  creator_id: VARCHAR | the tenant
  event_id: VARCHAR | the purchase
  name: VARCHAR | purchase or tip
  fan_id: VARCHAR | who paid
  platform: VARCHAR | where
  campaign_id: VARCHAR | the campaign that the event itself names
  message_id: VARCHAR | the message that the event itself names
  value_micros: BIGINT | amount, in micro-units
  currency: VARCHAR | of the amount
  occurred_at: TIMESTAMPTZ | when
  kind: VARCHAR | imported or live
--- */
select
    creator_id, event_id, name, fan_id, platform, campaign_id, message_id,
    coalesce(value_micros, 0) as value_micros, currency, occurred_at, kind
from ref('staging.stg_events')
where name in ('purchase', 'tip')

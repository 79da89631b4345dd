/* ---
description: Coupons and offers that fans redeemed.
grain: [creator_id, event_id]
owner: team:data
materialization: view
columns:
  creator_id: VARCHAR | the tenant
  event_id: VARCHAR | the redemption
  fan_id: VARCHAR | who redeemed
  platform: VARCHAR | where
  campaign_id: VARCHAR | the campaign whose offer it was
  message_id: VARCHAR | the message whose offer it was
  occurred_at: TIMESTAMPTZ | when
  kind: VARCHAR | imported or live
--- */
select creator_id, event_id, fan_id, platform, campaign_id, message_id, occurred_at, kind
from ref('staging.stg_events')
where name = 'redeemed'

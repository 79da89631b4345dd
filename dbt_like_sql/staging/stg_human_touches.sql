/* ---
description: Opens and clicks by fans themselves, at the time of the first that was no machine's.
grain: [creator_id, fan_id, message_key, touch]
owner: team:data
materialization: view
columns:
  creator_id: VARCHAR | the tenant
  fan_id: VARCHAR | the recipient
  message_key: VARCHAR | the message, or the campaign where messages are not told apart
  touch: VARCHAR | opened or clicked
  touched_at: TIMESTAMPTZ | when first by the fan itself
  campaign_id: VARCHAR | the campaign
  platform: VARCHAR | where
  variant_id: VARCHAR | the message's arm
--- */
select
    creator_id, fan_id, message_key, touch, human_at as touched_at, campaign_id, platform, variant_id
from ref('staging.stg_touches')
where human_at is not null and touch in ('opened', 'clicked')

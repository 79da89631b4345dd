/* ---
description: Every fact about a fan, once, as it arrived.
grain: [creator_id, event_id]
owner: team:data
materialization: view
columns:
  creator_id: VARCHAR | the tenant
  event_id: VARCHAR | the sender's id of the fact
  name: VARCHAR | what happened
  fan_id: VARCHAR | to whom
  platform: VARCHAR | where, if anywhere
  account_id: VARCHAR | the account of ours concerned
  campaign_id: VARCHAR | the campaign the sender of the event named
  message_id: VARCHAR | the message it is about
  message_key: VARCHAR | the message, or the campaign where messages are not told apart
  value_micros: BIGINT | money, in micro-units of the currency
  currency: VARCHAR | ISO 4217
  occurred_at: TIMESTAMPTZ | when it happened
  received_at: TIMESTAMPTZ | when we learned of it
  kind: VARCHAR | imported (from a file) or live
--- */
select
    creator_id, event_id, name, fan_id, platform, account_id, campaign_id, message_id,
    coalesce(message_id, campaign_id) as message_key,
    value_micros, currency, occurred_at, received_at,
    case when starts_with(source, 'import:') then 'imported' else 'live' end as kind
from source('raw.events')

/* ---
description: >
  What reached a fan, once per message and touch. A click implies an open, an open a delivery, a
  delivery a sending; the first event that implies a touch gives its time. Human is the first event
  without a sign of a machine that is not close to a hit of the hidden link, or else the last one.
grain: [creator_id, fan_id, message_key, touch]
owner: team:data
materialization: view
columns:
  creator_id: VARCHAR | the tenant
  fan_id: VARCHAR | the recipient
  message_key: VARCHAR | the message, or the campaign where messages are not told apart
  message_at: TIMESTAMPTZ | when the message was decided; null where it is not ours
  touch: VARCHAR | sent, delivered, opened or clicked
  touched_at: TIMESTAMPTZ | when first
  event_id: VARCHAR | the event that says so
  human_at: TIMESTAMPTZ | when first by the fan itself; null when only machines did it
  campaign_id: VARCHAR | the campaign
  message_id: VARCHAR | the message
  platform: VARCHAR | where
  account_id: VARCHAR | from which account
  source: VARCHAR | campaign, automation or api
  source_id: VARCHAR | which one
  variant_id: VARCHAR | the message's arm
  explicit: BOOLEAN | an event of that name came; otherwise it is implied by a later touch
  kind: VARCHAR | imported or live
--- */
with trap as (select max(micros) as around from source('raw.bots') where rule = 'honeypot'),
judged as (
    select
        f.*,
        coalesce(
            abs(epoch_us(human_first) - epoch_us(trap_first)) <= around
            or abs(epoch_us(human_first) - epoch_us(trap_last)) <= around, false) as first_near,
        coalesce(
            abs(epoch_us(human_last) - epoch_us(trap_first)) <= around
            or abs(epoch_us(human_last) - epoch_us(trap_last)) <= around, false) as last_near
    from ref('staging.stg_firsts') f
    cross join trap
)
select
    creator_id, fan_id, message_key, message_at, touch, touched_at, event_id,
    case when not first_near then human_first when not last_near then human_last end as human_at,
    campaign_id, message_id, platform, account_id, source, source_id, variant_id, explicit, kind
from judged

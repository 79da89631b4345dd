/* ---
description: >
  What each fan did and what reached it, up to the newest event: sums, first and last times. Every
  column is an aggregate that new events can be merged into.
grain: [creator_id, fan_id]
owner: team:data
materialization: incremental
incremental:
  key: [creator_id, fan_id]
  reads: {staging.stg_events: {}, staging.stg_touches: {}}
  merge:
    events: sum
    received: sum
    opened: sum
    clicked: sum
    lifetime_micros: sum
    purchases: sum
    tips: sum
    first_purchase_at: min
    last_purchase_at: max
    last_active_at: max
    subscribed_at: max
    unsubscribed_at: max
    last_opened_at: max
    last_clicked_at: max
columns:
  creator_id: VARCHAR | the tenant
  fan_id: VARCHAR | the fan
  events: BIGINT | events about it
  received: BIGINT | messages that went to it, each once
  opened: BIGINT | of those, opened
  clicked: BIGINT | of those, clicked
  lifetime_micros: BIGINT | purchases and tips, in micro-units
  purchases: BIGINT | how many purchases
  tips: BIGINT | how many tips
  first_purchase_at: TIMESTAMPTZ | the first purchase
  last_purchase_at: TIMESTAMPTZ | the last purchase
  last_active_at: TIMESTAMPTZ | the last thing the fan itself did
  subscribed_at: TIMESTAMPTZ | last subscription
  unsubscribed_at: TIMESTAMPTZ | last time it left
  last_opened_at: TIMESTAMPTZ | last open or click
  last_clicked_at: TIMESTAMPTZ | last click
--- */
with told as (
    select creator_id, fan_id, name, value_micros, occurred_at, null as touch
    from ref('staging.stg_events')
    union all
    select creator_id, fan_id, null, null, null, touch from ref('staging.stg_touches')
)
select
    creator_id, fan_id,
    count(name) as events,
    count(*) filter (touch = 'sent') as received,
    count(*) filter (touch = 'opened') as opened,
    count(*) filter (touch = 'clicked') as clicked,
    coalesce(sum(value_micros) filter (name in ('purchase', 'tip')), 0)::bigint as lifetime_micros,
    count(*) filter (name = 'purchase') as purchases,
    count(*) filter (name = 'tip') as tips,
    min(occurred_at) filter (name = 'purchase') as first_purchase_at,
    max(occurred_at) filter (name = 'purchase') as last_purchase_at,
    max(occurred_at) filter (
        name in ('subscribed', 'purchase', 'tip', 'redeemed', 'replied', 'viewed', 'opened',
                 'clicked')
    ) as last_active_at,
    max(occurred_at) filter (name = 'subscribed') as subscribed_at,
    max(occurred_at) filter (name = 'unsubscribed') as unsubscribed_at,
    max(occurred_at) filter (name in ('opened', 'clicked')) as last_opened_at,
    max(occurred_at) filter (name = 'clicked') as last_clicked_at
from told
group by creator_id, fan_id

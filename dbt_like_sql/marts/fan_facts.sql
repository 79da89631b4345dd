/* ---
description: >
  One row a fan: who it is and what it did, up to the clock. Facts are the same as the rules' own;
  "days since" is never stored, for it changes without an event.
grain: [creator_id, fan_id]
owner: team:data
materialization: table
columns:
  creator_id: VARCHAR | the tenant
  fan_id: VARCHAR | the fan
  name: VARCHAR | as the creator knows it
  zone: VARCHAR | IANA zone, null when unknown
  locale: VARCHAR | language
  birthday: DATE | date of birth
  subscribed_at: TIMESTAMPTZ | last subscription, from events or else from the profile
  unsubscribed_at: TIMESTAMPTZ | last time it left
  lifetime_spend: DOUBLE | purchases and tips, in units of money
  lifetime_micros: BIGINT | the same, exact, in micro-units
  purchases: BIGINT | how many purchases
  tips: BIGINT | how many tips
  first_purchase_at: TIMESTAMPTZ | the first purchase
  last_purchase_at: TIMESTAMPTZ | the last purchase
  last_active_at: TIMESTAMPTZ | the last thing the fan itself did
  messages_received: BIGINT | messages that went to it
  messages_opened: BIGINT | of those, opened
  messages_clicked: BIGINT | of those, clicked
  last_opened_at: TIMESTAMPTZ | last open or click
  last_clicked_at: TIMESTAMPTZ | last click
--- */
with facts as (
    select
        creator_id, fan_id,
        coalesce(sum(value_micros) filter (name in ('purchase', 'tip')), 0) as micros,
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
        count(distinct message_key) filter (name in ('sent', 'delivered', 'opened', 'clicked'))
            as messages_received,
        count(distinct message_key) filter (name in ('opened', 'clicked')) as messages_opened,
        count(distinct message_key) filter (name = 'clicked') as messages_clicked,
        max(occurred_at) filter (name in ('opened', 'clicked')) as last_opened_at,
        max(occurred_at) filter (name = 'clicked') as last_clicked_at
    from ref('staging.stg_events')
    group by creator_id, fan_id
)
select
    creator_id, fan_id, f.name, f.zone, f.locale, f.birthday,
    coalesce(x.subscribed_at, f.subscribed_at) as subscribed_at,
    x.unsubscribed_at,
    coalesce(x.micros, 0)::double / 1000000 as lifetime_spend,
    coalesce(x.micros, 0)::bigint as lifetime_micros,
    coalesce(x.purchases, 0) as purchases,
    coalesce(x.tips, 0) as tips,
    x.first_purchase_at, x.last_purchase_at, x.last_active_at,
    coalesce(x.messages_received, 0) as messages_received,
    coalesce(x.messages_opened, 0) as messages_opened,
    coalesce(x.messages_clicked, 0) as messages_clicked,
    x.last_opened_at, x.last_clicked_at
from (select * rename (id as fan_id) from source('raw.fans')) f
full join facts x using (creator_id, fan_id)

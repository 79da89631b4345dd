/* ---
description: >
  One row a fan: who it is and what it did, up to the clock. Facts are the same as the rules' own;
  "days since" is never stored, for it changes without an event.
grain: [creator_id, fan_id]
owner: team:data
materialization: incremental
incremental:
  key: [creator_id, fan_id]
  reads:
    raw.fans: {key: {fan_id: id}}
    marts.fan_activity: {}
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
select
    creator_id, fan_id, f.name, f.zone, f.locale, f.birthday,
    coalesce(x.subscribed_at, f.subscribed_at) as subscribed_at,
    x.unsubscribed_at,
    coalesce(x.lifetime_micros, 0)::double / 1000000 as lifetime_spend,
    coalesce(x.lifetime_micros, 0) as lifetime_micros,
    coalesce(x.purchases, 0) as purchases,
    coalesce(x.tips, 0) as tips,
    x.first_purchase_at, x.last_purchase_at, x.last_active_at,
    coalesce(x.received, 0) as messages_received,
    coalesce(x.opened, 0) as messages_opened,
    coalesce(x.clicked, 0) as messages_clicked,
    x.last_opened_at, x.last_clicked_at
from (
    select creator_id, id as fan_id, name, zone, locale, birthday, subscribed_at
    from source('raw.fans')
) f
full join ref('marts.fan_activity') x using (creator_id, fan_id)

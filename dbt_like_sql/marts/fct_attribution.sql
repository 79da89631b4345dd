/* ---
description: >
  Every purchase once, with the one touch that gets its credit: the last touch by that fan that lies
  inside its window (rules/goals.yaml). A touch exactly one window before the purchase counts, one
  after it never does; of touches at the same instant the greater event id wins. Without a touch the
  purchase stays here unattributed, so the sum is all revenue, to the micro-unit.
grain: [creator_id, conversion_id]
owner: team:data
materialization: table
columns:
  creator_id: VARCHAR | the tenant
  conversion_id: VARCHAR | the purchase
  fan_id: VARCHAR | who paid
  occurred_at: TIMESTAMPTZ | when
  value_micros: BIGINT | the whole amount, credited once
  currency: VARCHAR | of the amount
  kind: VARCHAR | imported or live
  attributed: BOOLEAN | whether a touch gets the credit
  touch: VARCHAR | clicked, opened, delivered or sent
  touch_id: VARCHAR | the event of the touch
  touch_at: TIMESTAMPTZ | when it was
  source: VARCHAR | campaign, automation or api
  source_id: VARCHAR | which one
  campaign_id: VARCHAR | the campaign, when it was one
  message_id: VARCHAR | the message
  variant_id: VARCHAR | its arm, in an experiment
  platform: VARCHAR | where the touch was
audits:
  inside_window: >
    select conversion_id, touch_at from this
    where attributed and (touch_at is null or touch_at > occurred_at)
--- */
with windowed as (
    select
        e.creator_id, e.fan_id, e.event_id, e.name as touch, e.occurred_at as touched_at, e.platform,
        e.message_id, e.campaign_id,
        coalesce(own.seconds, every.seconds) as seconds
    from ref('staging.stg_events') e
    left join source('raw.windows') own
        on own.goal = 'purchase' and own.touch = e.name and own.platform = e.platform
    left join source('raw.windows') every
        on every.goal = 'purchase' and every.touch = e.name and every.platform = '*'
    where e.name in ('sent', 'delivered', 'opened', 'clicked') and e.message_key is not null
        and coalesce(own.seconds, every.seconds) > 0
),
touches as (
    select * from windowed
    qualify row_number() over (
        partition by creator_id, fan_id, seconds, touched_at order by event_id desc
    ) = 1
),
-- Of touches with windows of one length only the last can count: a merge, not a product.
last_of_each as (
    select
        p.creator_id, p.event_id as conversion_id, p.occurred_at,
        t.event_id as touch_id, t.touch, t.touched_at, t.platform, t.message_id, t.campaign_id, t.seconds
    from (
        select p.*, s.seconds
        from ref('staging.stg_purchases') p
        cross join (select distinct seconds from touches) s
    ) p
    asof join touches t
        on t.creator_id = p.creator_id and t.fan_id = p.fan_id and t.seconds = p.seconds
        and t.touched_at <= p.occurred_at
),
winner as (
    select * from last_of_each
    where touched_at >= occurred_at - to_seconds(seconds)
    qualify row_number() over (
        partition by creator_id, conversion_id order by touched_at desc, touch_id desc
    ) = 1
)
select
    p.creator_id, p.event_id as conversion_id, p.fan_id, p.occurred_at, p.value_micros, p.currency,
    p.kind,
    w.touch_id is not null as attributed,
    w.touch, w.touch_id, w.touched_at as touch_at,
    coalesce(m.source, case when w.campaign_id is not null then 'campaign' end) as source,
    coalesce(m.source_id, w.campaign_id) as source_id,
    coalesce(m.campaign_id, w.campaign_id) as campaign_id,
    w.message_id, m.variant_id, w.platform
from ref('staging.stg_purchases') p
left join winner w on w.creator_id = p.creator_id and w.conversion_id = p.event_id
left join ref('staging.stg_messages') m
    on m.creator_id = w.creator_id and m.message_id = w.message_id

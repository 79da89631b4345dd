/* ---
description: >
  What reached a fan, once per message and touch. A click implies an open, an open a delivery, a
  delivery a sending; the first event that implies a touch gives its time.
grain: [creator_id, fan_id, message_key, touch]
owner: team:data
materialization: table
columns:
  creator_id: VARCHAR | the tenant
  fan_id: VARCHAR | the recipient
  message_key: VARCHAR | the message, or the campaign where messages are not told apart
  touch: VARCHAR | sent, delivered, opened or clicked
  touched_at: TIMESTAMPTZ | when first
  event_id: VARCHAR | the event that says so
  campaign_id: VARCHAR | the campaign
  message_id: VARCHAR | the message
  platform: VARCHAR | where
  account_id: VARCHAR | from which account
  implied: BOOLEAN | known only from a later touch
  kind: VARCHAR | imported or live
--- */
with chain (touch, implied_by) as (
    values
        ('sent', ['sent', 'delivered', 'opened', 'clicked']),
        ('delivered', ['delivered', 'opened', 'clicked']),
        ('opened', ['opened', 'clicked']),
        ('clicked', ['clicked'])
),
steps as (select touch, unnest(implied_by) as name from chain),
events as (
    select e.*, m.campaign_id as sent_for
    from ref('staging.stg_events') e
    left join ref('staging.stg_messages') m using (creator_id, message_id)
    where e.name in ('sent', 'delivered', 'opened', 'clicked') and e.message_key is not null
)
select
    e.creator_id, e.fan_id, e.message_key, s.touch,
    min(e.occurred_at) as touched_at,
    arg_min(e.event_id, (e.occurred_at, e.event_id)) as event_id,
    min(coalesce(e.campaign_id, e.sent_for)) as campaign_id,
    min(e.message_id) as message_id,
    arg_min(e.platform, (e.occurred_at, e.event_id)) as platform,
    arg_min(e.account_id, (e.occurred_at, e.event_id)) as account_id,
    not bool_or(e.name = s.touch) as implied,
    min(e.kind) as kind
from events e
join steps s on s.name = e.name
group by e.creator_id, e.fan_id, e.message_key, s.touch

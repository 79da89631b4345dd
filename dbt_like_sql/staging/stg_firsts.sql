/* ---
description: >
  When each touch of a message was first and last made. A click implies an open, an open a delivery, a
  delivery a sending. Only what can be put together from parts is here; staging.stg_touches says what
  it means.
grain: [creator_id, fan_id, message_key, touch]
owner: team:data
materialization: incremental
incremental:
  key: [creator_id, fan_id, message_key, touch]
  reads: {staging.stg_events: {}}
  near: message_at
  split: [creator_id, fan_id]
  merge:
    message_at: min
    touched_at: min
    event_id: min by touched_at
    human_first: min
    human_last: max
    trap_first: min
    trap_last: max
    campaign_id: min
    message_id: min
    platform: min
    account_id: min
    source: min
    source_id: min
    variant_id: min
    explicit: any
    kind: min
columns:
  creator_id: VARCHAR | the tenant
  fan_id: VARCHAR | the recipient
  message_key: VARCHAR | the message, or the campaign where messages are not told apart
  message_at: TIMESTAMPTZ | when the message was decided; null where it is not ours
  touch: VARCHAR | sent, delivered, opened or clicked
  touched_at: TIMESTAMPTZ | when first
  event_id: VARCHAR | the event that says so
  human_first: TIMESTAMPTZ | when first by an event that shows no sign of a machine
  human_last: TIMESTAMPTZ | when last by such an event
  trap_first: TIMESTAMPTZ | when the hidden link was first hit; of opens and clicks
  trap_last: TIMESTAMPTZ | when it was last hit
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
with chain (touch, implied_by) as (
    values
        ('sent', ['sent', 'delivered', 'opened', 'clicked']),
        ('delivered', ['delivered', 'opened', 'clicked']),
        ('opened', ['opened', 'clicked']),
        ('clicked', ['clicked'])
),
steps as (select touch, unnest(implied_by) as name from chain)
select
    e.creator_id, e.fan_id, e.message_key,
    min(e.message_at) as message_at,
    s.touch,
    min(e.occurred_at) as touched_at,
    arg_min(e.event_id, (e.occurred_at, e.event_id)) as event_id,
    min(e.occurred_at) filter (not e.bot) as human_first,
    max(e.occurred_at) filter (not e.bot) as human_last,
    min(e.occurred_at) filter (e.trapped and s.touch in ('opened', 'clicked')) as trap_first,
    max(e.occurred_at) filter (e.trapped and s.touch in ('opened', 'clicked')) as trap_last,
    min(e.campaign_id) as campaign_id,
    min(e.message_id) as message_id,
    min(e.platform) as platform,
    min(e.account_id) as account_id,
    min(e.message_source) as source,
    min(e.message_source_id) as source_id,
    min(e.variant_id) as variant_id,
    bool_or(e.name = s.touch) as explicit,
    min(e.kind) as kind
from ref('staging.stg_events') e
join steps s on s.name = e.name
where e.message_key is not null
group by e.creator_id, e.fan_id, e.message_key, s.touch

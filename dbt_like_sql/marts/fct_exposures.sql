/* ---
description: >
  The messages of A/B tests that were sent, each with what its recipient did after it: inside the test's
  window, and in as long again after that (late). No clock in it: whether a window is over is asked by
  metrics.experiment_arms, of marts.fct_recipients.
grain: [creator_id, experiment_id, message_id]
owner: team:data
materialization: incremental
incremental:
  partition: sent_at
  reads:
    staging.stg_messages: {time: sent_at}
    staging.stg_touches: {time: touched_at, reach: 1d, ahead: tests}
    staging.stg_purchases: {time: occurred_at, ahead: tests}
    staging.stg_events: {time: occurred_at, ahead: tests}
columns:
  creator_id: VARCHAR | the tenant
  experiment_id: VARCHAR | the test
  campaign_id: VARCHAR | the campaign it is part of
  message_id: VARCHAR | the message
  fan_id: VARCHAR | its recipient
  sent_at: TIMESTAMPTZ | when the platform accepted it
  ends_at: TIMESTAMPTZ | when its window is over
  value: DOUBLE | the metric inside the window - 1 for a touch, purchases, or money in the creator's currency
  reached_at: TIMESTAMPTZ | when the metric was first reached, at the latest a window after the window
  bad: BOOLEAN | the recipient unsubscribed or complained inside the window
--- */
with sent as (
    select
        x.*, m.message_id, m.fan_id, m.sent_at, m.sent_at + to_seconds(x.window_s) as ends_at,
        m.sent_at + to_seconds(2 * x.window_s) as late_at
    from ref('staging.stg_tests') x
    join ref('staging.stg_messages') m
        on m.creator_id = x.creator_id and m.campaign_id = x.campaign_id
    where m.variant_id is not null and m.state = 'sent' and m.sent_at is not null
),
acts as (
    select s.creator_id, s.experiment_id, s.message_id, s.ends_at, 1.0 as value, t.human_at as acted_at
    from sent s
    join ref('staging.stg_touches') t
        on t.creator_id = s.creator_id and t.message_id = s.message_id and t.fan_id = s.fan_id
        and t.touch = s.metric and t.human_at <= s.late_at
    union all
    select
        s.creator_id, s.experiment_id, s.message_id, s.ends_at,
        case when s.metric = 'revenue' then p.value_micros / 1e6 else 1.0 end, p.occurred_at
    from sent s
    join ref('staging.stg_purchases') p
        on p.creator_id = s.creator_id and p.fan_id = s.fan_id
        and p.occurred_at >= s.sent_at and p.occurred_at <= s.late_at
    where s.metric = 'converted' or (s.metric = 'revenue' and p.currency = s.currency)
),
reached as (
    select
        creator_id, experiment_id, message_id, sum(value) filter (acted_at <= ends_at) as value,
        min(acted_at) as reached_at
    from acts
    group by all
),
harmed as (
    select distinct s.creator_id, s.experiment_id, s.message_id
    from sent s
    join ref('staging.stg_events') e
        on e.creator_id = s.creator_id and e.fan_id = s.fan_id
        and e.occurred_at >= s.sent_at and e.occurred_at <= s.ends_at
    where e.name in ('unsubscribed', 'complained')
)
select
    s.creator_id, s.experiment_id, s.campaign_id, s.message_id, s.fan_id, s.sent_at, s.ends_at,
    coalesce(r.value, 0)::double as value, r.reached_at, h.message_id is not null as bad
from sent s
left join reached r using (creator_id, experiment_id, message_id)
left join harmed h using (creator_id, experiment_id, message_id)

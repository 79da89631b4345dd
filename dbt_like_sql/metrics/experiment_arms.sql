/* ---
description: >
  Additive sums per arm, over matured recipients only: those whose own window has passed by the clock.
  A recipient counts once, with 1 when it reached the metric inside the window after its own message.
grain: [creator_id, experiment_id, variant_id]
owner: team:data
materialization: table
columns:
  creator_id: VARCHAR | the tenant
  experiment_id: VARCHAR | the test
  campaign_id: VARCHAR | the campaign it is part of
  variant_id: VARCHAR | the arm
  position: INTEGER | 0 is the control
  metric: VARCHAR | opened, clicked or converted
  assigned: BIGINT | recipients decided for this arm
  exposed: BIGINT | recipients its message was sent to
  n: BIGINT | of those, matured
  sum: DOUBLE | sum of the metric over n
  sum_squares: DOUBLE | sum of its squares
  as_of: TIMESTAMPTZ | the clock
--- */
with recipients as (
    select
        x.creator_id, x.id as experiment_id, x.metric, x.window_s, m.variant_id, m.fan_id,
        min(m.sent_at) filter (m.state = 'sent') as sent_at,
        list(m.message_id) filter (m.state = 'sent') as messages
    from source('raw.experiments') x
    join ref('staging.stg_messages') m
        on m.creator_id = x.creator_id and m.campaign_id = x.campaign_id
    where m.variant_id is not null
    group by all
),
reached as (
    select creator_id, fan_id, message_id, touch as metric, touched_at
    from ref('staging.stg_touches')
    where message_id is not null
    union all
    select creator_id, fan_id, message_id, 'converted', occurred_at as touched_at
    from ref('marts.fct_conversions')
    where message_id is not null and goal = 'purchase'
),
hits as (
    select r.creator_id, r.experiment_id, r.variant_id, r.fan_id, count(*) as times
    from recipients r
    join reached h
        on h.creator_id = r.creator_id and h.fan_id = r.fan_id and h.metric = r.metric
        and list_contains(r.messages, h.message_id)
        and h.touched_at <= r.sent_at + to_seconds(r.window_s)
    group by all
),
scored as (
    select
        r.*, c.as_of,
        r.sent_at is not null and r.sent_at + to_seconds(r.window_s) <= c.as_of as matured,
        (h.times is not null)::integer as x
    from recipients r
    cross join source('raw.clock') c
    left join hits h using (creator_id, experiment_id, variant_id, fan_id)
)
select
    e.creator_id, e.id as experiment_id, e.campaign_id, v.id as variant_id, v.position, e.metric,
    count(s.fan_id) as assigned,
    count(s.sent_at) as exposed,
    count(*) filter (s.matured) as n,
    coalesce(sum(s.x) filter (s.matured), 0)::double as sum,
    coalesce(sum(s.x * s.x) filter (s.matured), 0)::double as sum_squares,
    c.as_of
from source('raw.experiments') e
join source('raw.variants') v on v.creator_id = e.creator_id and v.campaign_id = e.campaign_id
cross join source('raw.clock') c
left join scored s
    on s.creator_id = e.creator_id and s.experiment_id = e.id and s.variant_id = v.id
group by all

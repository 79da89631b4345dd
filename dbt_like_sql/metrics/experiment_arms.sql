/* ---
description: >
  Additive sums per arm, over matured recipients only: those whose own window has passed by the clock.
  A recipient is in the arm and the epoch (of the split) that it came to first, and counts once, with
  what it did inside the window after its own first message: opened or clicked (not a machine) one of the test's
  messages (1 or 0), bought anything (1 or 0), or what it spent, in the creator's currency. Whoever
  got the winner after the test is not here.
grain: [creator_id, experiment_id, variant_id, epoch]
owner: team:data
materialization: table
columns:
  creator_id: VARCHAR | the tenant
  experiment_id: VARCHAR | the test
  campaign_id: VARCHAR | the campaign it is part of
  variant_id: VARCHAR | the arm
  epoch: INTEGER | rises when the split changes; 0 from the start
  position: INTEGER | 0 is the control
  metric: VARCHAR | opened, clicked, converted or revenue
  weight: DOUBLE | the arm's part of the split in this epoch
  assigned: BIGINT | recipients decided for this arm
  exposed: BIGINT | recipients its message was sent to
  waiting: BIGINT | recipients whose message is still on its way
  n: BIGINT | exposed and matured
  hits: BIGINT | of n, those with a metric above zero
  sum: DOUBLE | sum of the metric over n
  sum_squares: DOUBLE | sum of its squares
  bad: BIGINT | of n, those who unsubscribed or complained inside the window
  late: BIGINT | of n, those who reached the metric only in the window after it; in no count
  last_sent_at: TIMESTAMPTZ | the newest first message of a recipient
  as_of: TIMESTAMPTZ | the clock
--- */
with splits as (
    select creator_id, campaign_id, epoch, variant_id, weight, since from source('raw.allocations')
    union all
    select v.creator_id, v.campaign_id, 0, v.id, v.weight, null
    from source('raw.variants') v
    anti join source('raw.allocations') a
        on a.creator_id = v.creator_id and a.campaign_id = v.campaign_id
),
epochs as (select distinct creator_id, campaign_id, epoch, since from splits),
decided as (
    select
        x.creator_id, x.id as experiment_id, x.campaign_id, x.metric, x.window_s, m.fan_id,
        arg_min(m.variant_id, (m.decided_at, m.message_id)) as variant_id,
        min(m.decided_at) as decided_at,
        min(m.sent_at) filter (m.state = 'sent') as sent_at,
        list(m.message_id) filter (m.state = 'sent') as messages,
        bool_or(m.state in ('held', 'decided', 'queued', 'claimed')) as waiting
    from source('raw.experiments') x
    join ref('staging.stg_messages') m
        on m.creator_id = x.creator_id and m.campaign_id = x.campaign_id
    where m.variant_id is not null
    group by all
),
recipients as (
    select
        d.*, e.epoch, d.sent_at + to_seconds(d.window_s) as ends_at,
        coalesce(d.sent_at + to_seconds(d.window_s) <= c.as_of, false) as matured
    from decided d
    join epochs e
        on e.creator_id = d.creator_id and e.campaign_id = d.campaign_id
        and (e.epoch = 0 or e.since <= d.decided_at)
    cross join source('raw.clock') c
    qualify row_number() over (
        partition by d.creator_id, d.experiment_id, d.fan_id order by e.epoch desc
    ) = 1
),
exposed as (select * from recipients where matured),
touched as (
    select r.creator_id, r.experiment_id, r.fan_id, 1.0 as value, min(t.human_at) as at
    from exposed r
    join ref('staging.stg_touches') t
        on t.creator_id = r.creator_id and t.fan_id = r.fan_id and t.touch = r.metric
        and list_contains(r.messages, t.message_id) and t.human_at is not null
    where r.metric in ('opened', 'clicked')
    group by all
),
bought as (
    select
        r.creator_id, r.experiment_id, r.fan_id,
        case when r.metric = 'revenue' then p.value_micros / 1e6 else 1.0 end as value,
        p.occurred_at as at
    from exposed r
    join ref('staging.stg_purchases') p
        on p.creator_id = r.creator_id and p.fan_id = r.fan_id
        and p.occurred_at >= r.sent_at
        and p.occurred_at <= r.ends_at + to_seconds(r.window_s)
    left join source('raw.creators') o on o.id = r.creator_id
    where r.metric = 'converted'
        or (r.metric = 'revenue' and p.currency = o.currency)
),
reached as (
    select
        r.creator_id, r.experiment_id, r.fan_id,
        sum(h.value) filter (h.at <= r.ends_at) as value,
        bool_and(h.at > r.ends_at and h.at <= r.ends_at + to_seconds(r.window_s)) as late
    from exposed r
    join (from touched union all from bought) h using (creator_id, experiment_id, fan_id)
    group by all
),
harmed as (
    select distinct r.creator_id, r.experiment_id, r.fan_id
    from exposed r
    join ref('staging.stg_events') e
        on e.creator_id = r.creator_id and e.fan_id = r.fan_id
        and e.occurred_at >= r.sent_at and e.occurred_at <= r.ends_at
    where e.name in ('unsubscribed', 'complained')
),
scored as (
    select
        r.*, h.fan_id is not null as bad, coalesce(v.late, false) as late,
        case when r.metric = 'revenue' then coalesce(v.value, 0)
            else (coalesce(v.value, 0) > 0)::integer end as x
    from recipients r
    left join reached v using (creator_id, experiment_id, fan_id)
    left join harmed h using (creator_id, experiment_id, fan_id)
)
select
    e.creator_id, e.id as experiment_id, e.campaign_id, w.variant_id, w.epoch, v.position, e.metric,
    w.weight,
    count(s.fan_id) as assigned,
    count(s.sent_at) as exposed,
    count(*) filter (s.waiting) as waiting,
    count(*) filter (s.matured) as n,
    count(*) filter (s.matured and s.x > 0) as hits,
    coalesce(sum(s.x) filter (s.matured), 0)::double as sum,
    coalesce(sum(s.x * s.x) filter (s.matured), 0)::double as sum_squares,
    count(*) filter (s.matured and s.bad) as bad,
    count(*) filter (s.matured and s.late) as late,
    max(s.sent_at) as last_sent_at,
    c.as_of
from source('raw.experiments') e
join splits w on w.creator_id = e.creator_id and w.campaign_id = e.campaign_id
join source('raw.variants') v
    on v.creator_id = e.creator_id and v.campaign_id = e.campaign_id and v.id = w.variant_id
cross join source('raw.clock') c
left join scored s
    on s.creator_id = e.creator_id and s.experiment_id = e.id and s.variant_id = w.variant_id
    and s.epoch = w.epoch
group by all

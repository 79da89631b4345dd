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
scored as (
    select
        d.*, e.epoch,
        coalesce(d.ends_at <= c.as_of, false) as matured,
        case when d.metric = 'revenue' then d.value else coalesce(d.reached_at <= d.ends_at, false)::integer end
            as x,
        coalesce(d.reached_at > d.ends_at and d.reached_at <= d.ends_at + (d.ends_at - d.sent_at), false) as late
    from ref('marts.fct_recipients') d
    join epochs e
        on e.creator_id = d.creator_id and e.campaign_id = d.campaign_id
        and (e.epoch = 0 or e.since <= d.decided_at)
    cross join source('raw.clock') c
    qualify row_number() over (
        partition by d.creator_id, d.experiment_id, d.fan_id order by e.epoch desc
    ) = 1
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

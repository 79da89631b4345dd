/* ---
description: >
  The recipients of A/B tests, each once: the arm it came to first and what it did inside the window
  after its first message. Of several messages to one recipient the first has the window, whichever of
  them was opened or clicked. No clock in it: who counts by now is asked by metrics.experiment_arms.
grain: [creator_id, experiment_id, fan_id]
owner: team:data
materialization: incremental
incremental:
  key: [creator_id, campaign_id, fan_id]
  reads: {staging.stg_messages: {}, marts.fct_exposures: {}}
columns:
  creator_id: VARCHAR | the tenant
  experiment_id: VARCHAR | the test
  campaign_id: VARCHAR | the campaign it is part of
  metric: VARCHAR | opened, clicked, converted or revenue
  fan_id: VARCHAR | the recipient
  variant_id: VARCHAR | its arm
  decided_at: TIMESTAMPTZ | when it came to the arm
  waiting: BOOLEAN | a message to it is still on its way
  sent_at: TIMESTAMPTZ | when its first message was accepted; null before
  ends_at: TIMESTAMPTZ | when the window after that is over
  value: DOUBLE | what the metric counts inside the window of the first message
  reached_at: TIMESTAMPTZ | when it was first reached, at the latest a window after the window
  bad: BOOLEAN | unsubscribed or complained inside the window
--- */
with decided as (
    select
        x.creator_id, x.experiment_id, x.campaign_id, x.metric, m.fan_id,
        arg_min(m.variant_id, (m.decided_at, m.message_id)) as variant_id,
        min(m.decided_at) as decided_at,
        bool_or(m.state in ('held', 'decided', 'queued', 'claimed')) as waiting
    from ref('staging.stg_tests') x
    join ref('staging.stg_messages') m
        on m.creator_id = x.creator_id and m.campaign_id = x.campaign_id
    where m.variant_id is not null
    group by all
),
exposed as (
    select
        creator_id, experiment_id, fan_id,
        arg_min(
            {'sent_at': sent_at, 'ends_at': ends_at, 'value': value, 'reached_at': reached_at, 'bad': bad},
            (sent_at, message_id)
        ) as first,
        min(reached_at) as any_at
    from ref('marts.fct_exposures')
    group by all
)
select
    d.creator_id, d.experiment_id, d.campaign_id, d.metric, d.fan_id, d.variant_id, d.decided_at,
    d.waiting, x.first.sent_at as sent_at, x.first.ends_at as ends_at, x.first.value as value,
    case when d.metric in ('opened', 'clicked') then x.any_at else x.first.reached_at end as reached_at,
    x.first.bad as bad
from decided d
left join exposed x using (creator_id, experiment_id, fan_id)

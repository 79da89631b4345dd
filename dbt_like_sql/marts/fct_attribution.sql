/* ---
description: >
  Every goal reached with the touches that get its credit under the model its goal has adopted
  (rules/goals.yaml): one row with models that credit one touch, several with those that share. A
  goal reached without a touch stays here unattributed, so for each goal the sum of all rows is
  all value, to the micro-unit.
grain: [creator_id, goal, conversion_id, touch_id]
optional: [touch_id]
owner: team:data
materialization: incremental
incremental:
  partition: occurred_at
  reads:
    staging.stg_conversions: {time: occurred_at}
    marts.fct_credits: {time: occurred_at}
columns:
  creator_id: VARCHAR | the tenant
  goal: VARCHAR | which goal
  conversion_id: VARCHAR | the event that reached it
  fan_id: VARCHAR | who reached it
  occurred_at: TIMESTAMPTZ | when
  value_micros: BIGINT | this row's credit; the rows of a conversion add up to its value
  share: DOUBLE | the credit as a fraction of the conversion; 1 when it is whole or nobody's
  largest: BOOLEAN | true in one row of each conversion, that of its largest credit, to count by
  conversion_micros: BIGINT | the whole value
  currency: VARCHAR | of the value
  kind: VARCHAR | imported or live
  attributed: BOOLEAN | whether a touch gets the credit
  model: VARCHAR | the adopted model; named when the event itself says who gets the credit
  touch: VARCHAR | clicked, opened, delivered, sent or named
  touch_id: VARCHAR | the event of the touch
  touch_at: TIMESTAMPTZ | when it was
  source: VARCHAR | campaign, automation or api
  source_id: VARCHAR | which one
  campaign_id: VARCHAR | the campaign, when it was one
  message_id: VARCHAR | the message
  variant_id: VARCHAR | its arm, in an experiment
  platform: VARCHAR | where the touch was; of an event that names its campaign, where it was
audits:
  sums_exactly: >
    select creator_id, goal, conversion_id, sum(value_micros) as credited,
        any_value(conversion_micros) as worth
    from this group by all having sum(value_micros) <> any_value(conversion_micros)
  counted_once: >
    select creator_id, goal, conversion_id from this group by all
    having count(*) filter (largest) <> 1
--- */
with adopted as (
    select k.*
    from ref('marts.fct_credits') k
    join (select distinct goal, model from source('raw.goals')) g using (goal, model)
)
select
    c.creator_id, c.goal, c.event_id as conversion_id, c.fan_id, c.occurred_at,
    coalesce(k.value_micros, c.value_micros) as value_micros,
    coalesce(k.share, 1) as share,
    row_number() over (
        partition by c.creator_id, c.goal, c.event_id
        order by k.share desc, k.place desc
    ) = 1 as largest,
    c.value_micros as conversion_micros, c.currency, c.kind,
    k.touch_id is not null as attributed,
    case when c.named then 'named' else k.model end as model,
    k.touch, k.touch_id, k.touch_at, k.source, k.source_id, k.campaign_id, k.message_id,
    k.variant_id, k.platform
from ref('staging.stg_conversions') c
left join adopted k
    on k.creator_id = c.creator_id and k.goal = c.goal and k.conversion_id = c.event_id

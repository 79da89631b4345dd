/* ---
description: >
  Counts of campaigns that may be added up over any column: what every table "by" something is made of.
  Times are cut by the quarter of an hour, which every zone's days and hours consist of. Nothing of the
  campaign or the creator is in it, so a change of those costs nothing here; read metrics.campaign_hourly.
grain: [creator_id, campaign_id, platform, variant_id, slot, goal, currency]
owner: team:data
materialization: incremental
incremental:
  key: [creator_id, campaign_id, platform, variant_id, slot, goal, currency]
  reads:
    staging.stg_touches: {}
    staging.stg_human_touches: {}
    marts.fct_conversions: {}
  near: slot
  merge:
    sent: sum
    delivered: sum
    opened: sum
    clicked: sum
    human_opened: sum
    human_clicked: sum
    reached: sum
    micros: sum
columns:
  creator_id: VARCHAR | the tenant
  campaign_id: VARCHAR | the campaign
  platform: VARCHAR | where; unknown when nobody said
  variant_id: VARCHAR | the arm; none outside experiments
  slot: TIMESTAMPTZ | the quarter of an hour, its beginning
  goal: VARCHAR | of conversions, the goal; empty for touches
  currency: VARCHAR | of conversions, the money's; empty without money
  sent: BIGINT | messages sent
  delivered: BIGINT | messages delivered
  opened: BIGINT | messages opened, machines included
  clicked: BIGINT | messages clicked, machines included
  human_opened: BIGINT | messages opened by the fan itself
  human_clicked: BIGINT | messages clicked by the fan itself
  reached: BIGINT | times that the goal was reached
  micros: BIGINT | money of those
--- */
with parts as (
    select
        creator_id, campaign_id, platform, variant_id, touched_at as told_at, '' as goal, '' as currency,
        touch, 0 as micros
    from ref('staging.stg_touches')
    union all
    select
        creator_id, campaign_id, platform, variant_id, touched_at, '', '', 'human_' || touch, 0
    from ref('staging.stg_human_touches')
    union all
    select
        creator_id, campaign_id, platform, variant_id, occurred_at, goal, coalesce(currency, ''),
        'reached', coalesce(value_micros, 0)
    from ref('marts.fct_conversions')
)
select
    creator_id, campaign_id, coalesce(platform, 'unknown') as platform,
    coalesce(variant_id, 'none') as variant_id,
    time_bucket(interval 15 minutes, told_at) as slot, goal, currency,
    count(*) filter (touch = 'sent') as sent,
    count(*) filter (touch = 'delivered') as delivered,
    count(*) filter (touch = 'opened') as opened,
    count(*) filter (touch = 'clicked') as clicked,
    count(*) filter (touch = 'human_opened') as human_opened,
    count(*) filter (touch = 'human_clicked') as human_clicked,
    count(*) filter (touch = 'reached') as reached,
    sum(micros)::bigint as micros
from parts
where campaign_id is not null
group by all

/* ---
description: >
  What campaigns cost, by day: amounts that were booked (imports), and those that campaigns declare in
  their settings. A declared cost per message counts messages sent, a discount counts goals reached
  that are credited to the campaign, fixed and media costs count once.
grain: [creator_id, campaign_id, cost_id, day]
owner: team:data
materialization: table
columns:
  creator_id: VARCHAR | the tenant
  campaign_id: VARCHAR | the campaign
  cost_id: VARCHAR | of the booking, or the place in the campaign's own list
  day: DATE | when it was incurred; of amounts booked in the creator's zone, else in UTC
  kind: VARCHAR | fixed, per_message, discount or media
  units: BIGINT | messages or goals that it was paid for; 1 for amounts booked, fixed and media
  amount_micros: BIGINT | all units together
  currency: VARCHAR | of the amount
--- */
with numbered as (
    select
        id as campaign_id, creator_id, coalesce(start_at, created_at) as began, settings,
        unnest(range(coalesce(json_array_length(settings, '$.costs'), 0)::bigint)) as number
    from source('raw.campaigns')
),
declared as (
    select
        creator_id, campaign_id, began, number,
        json_extract_string(settings, '$.costs[' || number || '].kind') as kind,
        json_extract_string(settings, '$.costs[' || number || '].currency') as currency,
        json_extract_string(settings, '$.costs[' || number || '].on')::date as day,
        (json_extract_string(settings, '$.costs[' || number || '].amount')::decimal(18, 6)
            * 1000000)::bigint as each_micros
    from numbered
),
counted as (
    select creator_id, campaign_id, slot::date as day, 'per_message' as kind, sent as units
    from ref('metrics.campaign_cube')
    where sent > 0
    union all
    select creator_id, campaign_id, c.slot::date, 'discount', c.reached
    from ref('metrics.campaign_cube') c
    join ref('marts.dim_campaigns') d using (creator_id, campaign_id, goal)
    where c.reached > 0
),
units as (
    select c.creator_id, c.campaign_id, c.kind, c.day, sum(c.units)::bigint as units
    from counted c
    semi join declared d using (creator_id, campaign_id, kind)
    group by all
)
select
    c.creator_id, c.campaign_id, c.id as cost_id,
    timezone(coalesce(o.zone, 'UTC'), c.incurred_at)::date as day, c.kind, 1::bigint as units,
    c.amount_micros, c.currency
from source('raw.costs') c
left join source('raw.creators') o on o.id = c.creator_id
where c.campaign_id is not null
union all
select
    d.creator_id, d.campaign_id, 'declared-' || d.number,
    coalesce(u.day, d.day, d.began::date), d.kind, coalesce(u.units, 1),
    d.each_micros * coalesce(u.units, 1), d.currency
from declared d
left join units u
    on u.creator_id = d.creator_id and u.campaign_id = d.campaign_id and u.kind = d.kind
where d.kind in ('fixed', 'media') or u.units is not null

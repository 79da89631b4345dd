/* ---
description: >
  Every goal that was reached (rules/goals.yaml), once per goal and event, with what it is worth.
  Who gets the credit is in marts.fct_credits.
grain: [creator_id, goal, event_id]
owner: team:data
materialization: incremental
incremental:
  partition: occurred_at
  reads:
    staging.stg_events: {time: occurred_at}
columns:
  creator_id: VARCHAR | the tenant
  goal: VARCHAR | its name in rules/goals.yaml
  event_id: VARCHAR | the event that reached it
  fan_id: VARCHAR | who reached it
  occurred_at: TIMESTAMPTZ | when
  value_micros: BIGINT | the event's amount, or the goal's own; 0 without one
  currency: VARCHAR | of the value
  kind: VARCHAR | imported or live
  named: BOOLEAN | the event itself names the campaign or message that gets the credit
  platform: VARCHAR | of the event
  campaign_id: VARCHAR | the campaign that the event names
  message_id: VARCHAR | the message that it names
  source: VARCHAR | campaign, automation or api, whose it is
  source_id: VARCHAR | which one
  variant_id: VARCHAR | the message's arm
--- */
with candidates as (
    select e.*, g.goal, g.amount_micros, g.currency as own_currency, g.named, g.filtered
    from ref('staging.stg_events') e
    join source('raw.goals') g on g.event = e.name
),
-- A filter is "any of these alternatives", each with all of its comparisons true.
tests as (
    select
        c.creator_id, c.event_id, c.goal, f.alternative, f.op, f.text, f.number,
        case f.field
            when 'name' then c.name
            when 'value' then (c.value_micros / 1e6)::varchar
            when 'currency' then c.currency
            when 'platform' then c.platform
            when 'account_id' then c.account_id
            when 'campaign_id' then c.campaign_id
            when 'message_id' then c.message_id
            when 'kind' then c.kind
            else json_extract_string(c.properties, '$."' || substr(f.field, 12) || '"')
        end as given
    from candidates c
    join source('raw.goal_filters') f on f.goal = c.goal
    where c.filtered
),
held as (
    select
        creator_id, event_id, goal, alternative,
        case op
            when 'exists' then given is not null
            when 'missing' then given is null
            when '=' then
                case when number is null then given = text else try_cast(given as double) = number end
            when '<>' then
                case when number is null then given <> text else try_cast(given as double) <> number end
            when '<' then
                case when number is null then given < text else try_cast(given as double) < number end
            when '<=' then
                case when number is null then given <= text else try_cast(given as double) <= number end
            when '>' then
                case when number is null then given > text else try_cast(given as double) > number end
            when '>=' then
                case when number is null then given >= text else try_cast(given as double) >= number end
        end as holds
    from tests
),
passed as (
    select distinct creator_id, event_id, goal
    from (
        select creator_id, event_id, goal, alternative
        from held
        group by all
        having bool_and(coalesce(holds, false))
    )
)
select
    c.creator_id, c.goal, c.event_id, c.fan_id, c.occurred_at,
    coalesce(c.amount_micros, c.value_micros, 0) as value_micros,
    case when c.amount_micros is null then c.currency else c.own_currency end as currency,
    c.kind,
    c.named and coalesce(c.campaign_id, c.message_id) is not null as named,
    c.platform, c.campaign_id, c.message_id, c.message_source as source,
    c.message_source_id as source_id, c.variant_id
from candidates c
left join passed p
    on p.creator_id = c.creator_id and p.event_id = c.event_id and p.goal = c.goal
where not c.filtered or p.goal is not null

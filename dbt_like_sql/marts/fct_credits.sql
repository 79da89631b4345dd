/* ---
description: >
  What each touch earns of each goal reached, under five attribution models side by side. A touch is
  a message's last contact inside its window (rules/goals.yaml), at most one per message and none
  by machines; touches are ordered by time, then event id. A touch exactly one window before counts, one at the same instant
  counts, a later one never does. Credits are whole micros by largest remainder (ties to the earlier
  touch): those of one model and conversion add up to its value exactly. Goals without a touch are
  not here; marts.fct_attribution has them.
grain: [creator_id, goal, model, conversion_id, touch_id]
owner: team:data
materialization: incremental
incremental:
  partition: occurred_at
  reads:
    staging.stg_conversions: {time: occurred_at}
    staging.stg_events: {time: occurred_at, reach: windows}
columns:
  creator_id: VARCHAR | the tenant
  goal: VARCHAR | which goal
  model: VARCHAR | first, last, linear, time_decay or position (40/20/40)
  conversion_id: VARCHAR | the event that reached the goal
  occurred_at: TIMESTAMPTZ | when it was reached
  fan_id: VARCHAR | who reached it
  conversion_micros: BIGINT | the whole value
  currency: VARCHAR | of it
  value_micros: BIGINT | this touch's part of it
  share: DOUBLE | the part as a fraction; all of a conversion are 1
  place: BIGINT | which touch of the journey, from 1
  touches: BIGINT | how many the journey has
  touch: VARCHAR | clicked, opened, delivered or sent; named when the event itself names the campaign
  touch_id: VARCHAR | the event of the touch
  touch_at: TIMESTAMPTZ | when it was
  source: VARCHAR | campaign, automation or api
  source_id: VARCHAR | which one
  campaign_id: VARCHAR | the campaign, when it was one
  message_id: VARCHAR | the message
  variant_id: VARCHAR | its arm, in an experiment
  platform: VARCHAR | where the touch was
audits:
  sums_exactly: >
    select creator_id, goal, model, conversion_id, sum(value_micros) as credited,
        any_value(conversion_micros) as worth
    from this group by all having sum(value_micros) <> any_value(conversion_micros)
  inside_window: >
    select conversion_id, touch_at from this where touch_at is null or touch_at > occurred_at
--- */
with reaches as (
    select goal, max(seconds) as longest from source('raw.windows') where seconds > 0 group by all
),
windowed as (
    select
        r.goal, r.longest, e.creator_id, e.fan_id, e.event_id as touch_id, e.name as touch,
        e.occurred_at as touch_at, e.platform, e.message_key, e.message_id, e.campaign_id,
        e.message_source as source, e.message_source_id as source_id, e.variant_id,
        coalesce(own.seconds, every.seconds) as seconds
    from ref('staging.stg_events') e
    cross join reaches r
    left join source('raw.windows') own
        on own.goal = r.goal and own.touch = e.name and own.platform = e.platform
    left join source('raw.windows') every
        on every.goal = r.goal and every.touch = e.name and every.platform = '*'
    -- Of a subquery, so that the scan leaves out what has no window before it looks for machines.
    where e.name in (select touch from source('raw.windows') where seconds > 0)
        and e.message_key is not null and e.bot is not true and coalesce(own.seconds, every.seconds) > 0
),
-- Buckets as long as the longest window: a touch that counts lies in the conversion's or the one before.
seeking as (
    select
        c.creator_id, c.goal, c.event_id as conversion_id, c.fan_id, c.occurred_at,
        c.value_micros as worth, c.currency,
        unnest([epoch_us(c.occurred_at) // (r.longest * 1000000),
                epoch_us(c.occurred_at) // (r.longest * 1000000) - 1]) as bucket
    from ref('staging.stg_conversions') c
    join reaches r on r.goal = c.goal
    where not c.named
),
met as (
    select
        s.creator_id, s.goal, s.conversion_id, s.fan_id, s.occurred_at, s.worth, s.currency,
        t.touch_id, t.touch, t.touch_at, t.platform, t.message_id, t.campaign_id, t.source,
        t.source_id, t.variant_id
    from seeking s
    join windowed t
        on t.creator_id = s.creator_id and t.fan_id = s.fan_id and t.goal = s.goal
        and epoch_us(t.touch_at) // (t.longest * 1000000) = s.bucket
    where t.touch_at <= s.occurred_at and t.touch_at >= s.occurred_at - to_seconds(t.seconds)
    qualify row_number() over (
        partition by s.creator_id, s.goal, s.conversion_id, t.message_key
        order by t.touch_at desc, t.touch_id desc
    ) = 1
    union all
    select
        creator_id, goal, event_id, fan_id, occurred_at, value_micros, currency,
        event_id, 'named', occurred_at, platform, message_id, campaign_id, source, source_id,
        variant_id
    from ref('staging.stg_conversions')
    where named
),
placed as (
    select
        m.*,
        row_number() over (journey order by touch_at, touch_id) as place,
        count(*) over journey as touches,
        max(touch_at) over journey as latest
    from met m
    window journey as (partition by creator_id, goal, conversion_id)
),
-- Whole weights: position is 40/20/40 of any length, time decay halves each half-life before the latest.
weighed as (
    select
        p.*,
        unnest(['first', 'last', 'linear', 'time_decay', 'position']) as model,
        unnest([
            (p.place = 1)::hugeint,
            (p.place = p.touches)::hugeint,
            1::hugeint,
            greatest(1, round(
                pow(2, 40 - (epoch_us(p.latest) - epoch_us(p.touch_at)) / (g.half_life * 1e6))
            ))::hugeint,
            case
                when p.touches <= 2 then 1
                when p.place in (1, p.touches) then 2 * (p.touches - 2)
                else 1
            end::hugeint
        ]) as weight
    from placed p
    join (select goal, any_value(half_life) as half_life from source('raw.goals') group by all) g
        on g.goal = p.goal
),
totalled as (
    select
        w.*, sign(worth) as direction,
        sum(weight) over (partition by creator_id, goal, conversion_id, model) as total
    from weighed w
    where weight > 0
),
floored as (
    select
        t.*,
        abs(worth::hugeint) * weight // total as whole,
        abs(worth::hugeint) * weight % total as remainder
    from totalled t
),
shared as (
    select
        f.*,
        whole + (
            row_number() over (split order by remainder desc, place)
            <= abs(worth::hugeint) - sum(whole) over (partition by creator_id, goal, conversion_id, model)
        )::integer as part
    from floored f
    window split as (partition by creator_id, goal, conversion_id, model)
)
select
    s.creator_id, s.goal, s.model, s.conversion_id, s.occurred_at, s.fan_id,
    s.worth as conversion_micros, s.currency,
    (s.direction * s.part)::bigint as value_micros,
    s.weight::double / s.total::double as share,
    s.place, s.touches, s.touch, s.touch_id, s.touch_at,
    s.source, s.source_id, s.campaign_id, s.message_id, s.variant_id, s.platform
from shared s

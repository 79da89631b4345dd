/* ---
description: >
  What every campaign and automation earns of each goal, under all models side by side: the five that
  credit single touches (marts.fct_credits), and Markov's removal effect and Shapley's value, which are
  worked out over whole paths (raw.channel_effects). Each model shares out the same sum, to the
  micro-unit; what nobody earned has a row of its own, without a source.
grain: [creator_id, goal, currency, model, source, source_id]
optional: [currency, source, source_id]
owner: team:data
materialization: view
columns:
  creator_id: VARCHAR | the tenant
  goal: VARCHAR | which goal
  currency: VARCHAR | of the money
  model: VARCHAR | first, last, linear, time_decay, position, markov or shapley
  source: VARCHAR | campaign, automation, api or unknown; null for what nobody earned
  source_id: VARCHAR | which one
  value_micros: BIGINT | its part of the value of the conversions
  conversions: DOUBLE | its part of their number
  influenced: BIGINT | conversions with a touch of it, in full
  influenced_micros: BIGINT | their whole value
  effect: DOUBLE | of markov the removal effect, of shapley the value in conversions; both as last worked out
  stderr: DOUBLE | standard error of the effect; 0 where it is exact
  method: VARCHAR | exact or sampled
audits:
  one_sum: >
    select creator_id, goal, currency
    from (select creator_id, goal, currency, model, sum(value_micros) as total from this group by all)
    group by all having count(distinct total) > 1
--- */
with credits as (
    select
        creator_id, goal, currency, model, coalesce(source, 'unknown') as source,
        coalesce(source_id, 'unknown') as source_id, conversion_id, conversion_micros, value_micros, share
    from ref('marts.fct_credits')
),
channels as (
    select
        creator_id, goal, currency, source, source_id, count(conversion_id) as influenced,
        sum(conversion_micros)::bigint as influenced_micros
    from (
        select distinct
            creator_id, goal, currency, source, source_id, conversion_id, conversion_micros
        from credits
        where model = 'linear'
    )
    group by all
),
totals as (
    select creator_id, goal, currency, count(*) as conversions, sum(conversion_micros) as micros
    from credits
    where model = 'last'
    group by all
),
-- Money is shared by whole weights, as in marts.fct_credits; channels without any effect share alike.
weighed as (
    select
        t.creator_id, t.goal, t.currency, t.conversions, t.micros,
        e.model, e.source, e.source_id, e.effect, e.stderr, e.method,
        case when sum(e.effect) over split > 0 then e.effect / sum(e.effect) over split
            else 1 / count(*) over split end as part,
        round(part * pow(2, 40))::hugeint as weight
    from totals t
    join source('raw.channel_effects') e using (creator_id, goal)
    window split as (partition by t.creator_id, t.goal, t.currency, e.model)
),
floored as (
    select
        *, abs(micros::hugeint) * weight // sum(weight) over split as whole,
        abs(micros::hugeint) * weight % sum(weight) over split as remainder
    from weighed
    window split as (partition by creator_id, goal, currency, model)
),
pathwise as (
    select
        creator_id, goal, currency, model, source, source_id,
        (sign(micros) * (whole + (
            row_number() over (split order by remainder desc, source, source_id)
            <= abs(micros::hugeint) - sum(whole) over (partition by creator_id, goal, currency, model)
        )::integer))::bigint as value_micros,
        part * conversions as conversions, effect, stderr, method
    from floored
    window split as (partition by creator_id, goal, currency, model)
),
earned as (
    select
        creator_id, goal, currency, model, source, source_id, sum(value_micros)::bigint as value_micros,
        sum(share) as conversions, null as effect, null as stderr, 'exact' as method
    from credits
    group by all
    union all
    from pathwise
),
models as (
    select unnest(['first', 'last', 'linear', 'time_decay', 'position']) as model
    union all
    select distinct model from source('raw.channel_effects')
)
select
    e.creator_id, e.goal, e.currency, e.model, e.source, e.source_id, e.value_micros, e.conversions,
    coalesce(c.influenced, 0) as influenced, coalesce(c.influenced_micros, 0) as influenced_micros,
    e.effect, e.stderr, e.method
from earned e
left join channels c
    on c.creator_id = e.creator_id and c.goal = e.goal and c.currency is not distinct from e.currency
    and c.source = e.source and c.source_id = e.source_id
union all
select
    a.creator_id, a.goal, a.currency, m.model, null, null, sum(a.conversion_micros)::bigint,
    count(*)::double, 0, 0, null, null, 'exact'
from ref('marts.fct_attribution') a
cross join models m
where not a.attributed
group by all

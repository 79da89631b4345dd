/* ---
description: >
  What fans spent who were kept out of a campaign on purpose, beside those who were not: additive sums
  for the effect of the campaign itself. A fan counts with everything it paid inside the longest
  window after it was decided about, whoever gets the credit, once that window is over. The
  treated are everybody else with an address, also those whom a gate then stopped: gates were
  never asked about the holdout, so leaving them out would compare different fans.
grain: [creator_id, campaign_id, arm]
owner: team:data
materialization: table
columns:
  creator_id: VARCHAR | the tenant
  campaign_id: VARCHAR | the campaign
  arm: VARCHAR | treated or holdout
  fans: BIGINT | decided about
  n: BIGINT | of those, whose window is over
  buyers: BIGINT | of those, who paid something
  sum: DOUBLE | what they paid, in units of `currency`
  sum_squares: DOUBLE | sum of the squares of what each paid
  currency: VARCHAR | the creator's
  unconverted: BIGINT | their payments in currencies without a rate, in none of the sums
  window_s: BIGINT | how long after the decision payments count
  as_of: TIMESTAMPTZ | the clock that judged who is matured
--- */
with fans as (
    select
        m.creator_id, m.campaign_id, m.fan_id, min(m.decided_at) as decided_at,
        case when bool_or(m.state = 'skipped' and m.reason = 'holdout') then 'holdout' else 'treated' end
            as arm
    from ref('staging.stg_messages') m
    semi join (
        select creator_id, campaign_id from ref('staging.stg_messages')
        where state = 'skipped' and reason = 'holdout' and campaign_id is not null
    ) h on h.creator_id = m.creator_id and h.campaign_id = m.campaign_id
    where coalesce(m.reason, '') <> 'no_address' and m.state <> 'held'
    group by all
),
reach as (
    select coalesce(max(seconds), 0) as seconds from source('raw.windows') where goal = 'purchase'
),
paid as (
    select
        f.creator_id, f.campaign_id, f.fan_id,
        sum(p.value_micros * r.rate) / 1e6 as amount,
        count(*) filter (r.rate is null and p.value_micros <> 0) as unconverted
    from fans f
    cross join reach w
    -- Nothing before the first of them is read; without a holdout nothing at all.
    join (
        select * from ref('staging.stg_purchases')
        where occurred_at > (select min(decided_at) from fans)
    ) p
        on p.creator_id = f.creator_id and p.fan_id = f.fan_id
        and p.occurred_at > f.decided_at and p.occurred_at <= f.decided_at + to_seconds(w.seconds)
    asof left join ref('marts.dim_rates') r
        on r.creator_id = p.creator_id and r.currency = p.currency and r.since <= p.occurred_at::date
    group by all
),
scored as (
    select
        f.*, w.seconds, c.as_of,
        f.decided_at + to_seconds(w.seconds) <= c.as_of as matured,
        coalesce(p.amount, 0) as x, coalesce(p.unconverted, 0) as unconverted
    from fans f
    cross join reach w
    cross join source('raw.clock') c
    left join paid p using (creator_id, campaign_id, fan_id)
)
select
    s.creator_id, s.campaign_id, s.arm,
    count(*) as fans,
    count(*) filter (s.matured) as n,
    count(*) filter (s.matured and s.x > 0) as buyers,
    coalesce(sum(s.x) filter (s.matured), 0)::double as sum,
    coalesce(sum(s.x * s.x) filter (s.matured), 0)::double as sum_squares,
    d.currency,
    coalesce(sum(s.unconverted) filter (s.matured), 0)::bigint as unconverted,
    any_value(s.seconds) as window_s, any_value(s.as_of) as as_of
from scored s
join ref('marts.dim_campaigns') d on d.creator_id = s.creator_id and d.campaign_id = s.campaign_id
group by s.creator_id, s.campaign_id, s.arm, d.currency

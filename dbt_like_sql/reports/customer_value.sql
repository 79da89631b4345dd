/* ---
title: Who the revenue comes from
description: >
  Buyers in five groups of equal size by what they spent. Recency and frequency say whether the
  best are still with you.
owner: team:data
columns:
  fifth: text | Group | fifths of all who bought (not of who only tipped), by what they spent in their lifetime
  fans: count | Fans
  purchases: number | Purchases a fan | the mean of the group
  revenue: money | Revenue | all purchases and tips of the group; other currencies converted
  share: percent | Share of revenue
  per_fan: money | A fan | revenue ÷ fans
  days_since: number | Days since | median days from the last purchase to the newest one of anybody
  left_out: text | Left out | payments that no rate converts (rules/rates.yaml), in no sum
tiles:
  Buyers: fans
  Revenue: revenue
chart:
  - kind: bars
    x: fifth
    y: share
    title: Share of revenue by group
  - kind: bars
    x: fifth
    y: days_since
    title: Median days since the last purchase
--- */
with paid as (
    select
        p.fan_id, p.occurred_at, p.value_micros,
        case when r.rate = 1 then p.value_micros else round(p.value_micros * r.rate) end as micros
    from ref('staging.stg_purchases') p
    asof left join ref('marts.dim_rates') r
        on r.currency = p.currency and r.since <= p.occurred_at::date
),
spent as (
    select
        fan_id, coalesce(sum(micros), 0)::bigint as spent,
        count(*) filter (micros is null and value_micros <> 0) as unconverted
    from paid
    group by fan_id
),
buyers as (
    select
        f.fan_id, s.spent, s.unconverted, f.purchases, f.last_purchase_at,
        max(f.last_purchase_at) over () as newest,
        ntile(5) over (order by s.spent desc, f.fan_id) as fifth
    from ref('marts.fan_facts') f
    join spent s using (fan_id)
    where f.purchases > 0
)
select
    case fifth when 1 then 'Top fifth' when 2 then 'Second fifth' when 3 then 'Third fifth'
        when 4 then 'Fourth fifth' else 'Last fifth' end as fifth,
    count(*) as fans, avg(purchases) as purchases, sum(spent)::bigint as revenue,
    sum(spent) / nullif(sum(sum(spent)) over (), 0) as share,
    (sum(spent) / count(*))::bigint as per_fan,
    median(date_diff('hour', last_purchase_at, newest)) / 24 as days_since,
    case when sum(unconverted) > 0 then sum(unconverted) || ' without a rate' end as left_out
from buyers
group by buyers.fifth
order by buyers.fifth

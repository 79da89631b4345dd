/* ---
title: Who the revenue comes from
description: >
  Buyers in five groups of equal size by what they spent. Recency and frequency say whether the
  best are still with you.
owner: team:data
columns:
  fifth: text | Group | fifths of all buyers, by what they spent in their lifetime
  fans: count | Fans
  purchases: number | Purchases a fan | the mean of the group
  revenue: money | Revenue | all purchases and tips of the group
  share: percent | Share of revenue
  per_fan: money | A fan | revenue ÷ fans
  days_since: number | Days since | median days from the last purchase to the newest one of anybody
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
with buyers as (
    select
        fan_id, lifetime_micros, purchases, last_purchase_at,
        max(last_purchase_at) over () as newest,
        ntile(5) over (order by lifetime_micros desc, fan_id) as fifth
    from ref('marts.fan_facts')
    where purchases > 0
)
select
    case fifth when 1 then 'Top fifth' when 2 then 'Second fifth' when 3 then 'Third fifth'
        when 4 then 'Fourth fifth' else 'Last fifth' end as fifth,
    count(*) as fans, avg(purchases) as purchases, sum(lifetime_micros)::bigint as revenue,
    sum(lifetime_micros) / nullif(sum(sum(lifetime_micros)) over (), 0) as share,
    (sum(lifetime_micros) / count(*))::bigint as per_fan,
    median(date_diff('hour', last_purchase_at, newest)) / 24 as days_since
from buyers
group by buyers.fifth
order by buyers.fifth

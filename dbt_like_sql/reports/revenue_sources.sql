/* ---
title: Where revenue comes from
description: >
  All revenue by month, and who gets the credit: a campaign, an automation, a single message, or
  nobody. Each purchase is counted once; the parts add up to everything that was bought.
owner: team:data
parameters:
  from: date? | first day
  to: date? | last day
columns:
  month: month | Month | of the purchase, in UTC
  source: text | Credit
  purchases: count | Purchases
  revenue: money | Revenue | purchases and tips
  share: percent | Share of month
  currency: hidden | Currency
tiles:
  Purchases: purchases
  Revenue: revenue
chart:
  kind: columns
  x: month
  y: revenue
  colour: source
  stacked: true
  title: Revenue by month and credit
--- */
select
    date_trunc('month', occurred_at)::date as month,
    case when source = 'api' then 'single message' else coalesce(source, 'no touch') end as source,
    count(*) filter (largest) as purchases, sum(value_micros)::bigint as revenue,
    sum(value_micros) / nullif(sum(sum(value_micros)) over (partition by month, currency), 0) as share,
    currency
from ref('marts.fct_attribution')
where goal = 'purchase' and ($from is null or occurred_at::date >= $from) and ($to is null or occurred_at::date <= $to)
group by 1, 2, currency
order by 1, revenue desc, 2

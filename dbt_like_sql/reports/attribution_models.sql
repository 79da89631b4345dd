/* ---
title: The same revenue under five models
description: >
  What each campaign and automation earns under every attribution model side by side. Each model gives
  every purchase away once, so the columns add up to the same sum.
owner: team:data
parameters:
  from: date? | first day
  to: date? | last day
columns:
  earner: text | Campaign or automation
  model: text | Model
  revenue: money | Credit
  conversions: number | Purchases | shares of purchases, added up
  currency: hidden | Currency
chart:
  kind: bars
  x: earner
  y: revenue
  colour: model
  title: Credit by model
--- */
select
    source || ' ' || source_id as earner, model, sum(value_micros)::bigint as revenue,
    sum(share)::double as conversions, currency
from ref('marts.fct_credits')
where goal = 'purchase' and source_id is not null
    and ($from is null or occurred_at::date >= $from) and ($to is null or occurred_at::date <= $to)
group by 1, 2, currency
order by sum(sum(value_micros)) over (partition by source || ' ' || source_id, currency) desc, 1, 2

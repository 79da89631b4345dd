/* ---
title: Do buyers come back?
description: >
  Fans by the month of their first purchase, and the share of each group that bought again so many
  months later. The last months of a row are still running.
owner: team:data
parameters:
  months: integer = 12 | how many months after the first are shown
columns:
  cohort: month | First purchase | the month of the fan's first purchase, in UTC
  fans: count | Fans | fans whose first purchase was in that month
  month: count | Months later | whole calendar months after it
  buyers: count | Buyers | of those, fans who bought in that month
  retention: percent | Came back | buyers ÷ fans
  revenue: money | Revenue | what they spent in that month; other currencies converted
  per_fan: money | Per fan | revenue ÷ fans of the group
  left_out: text | Left out | payments that no rate converts (rules/rates.yaml), in no sum
chart:
  - kind: heatmap
    x: month
    y: cohort
    colour: retention
    title: Share that bought again, by months since the first purchase
--- */
with firsts as (
    select fan_id, date_trunc('month', first_purchase_at)::date as cohort
    from ref('marts.fan_facts')
    where first_purchase_at is not null
),
sizes as (select cohort, count(*) as fans from firsts group by cohort),
paid as (
    select
        p.fan_id, p.occurred_at, p.value_micros,
        case when r.rate = 1 then p.value_micros else round(p.value_micros * r.rate) end as micros
    from ref('staging.stg_purchases') p
    asof left join ref('marts.dim_rates') r
        on r.currency = p.currency and r.since <= p.occurred_at::date
),
bought as (
    select
        f.cohort, date_diff('month', f.cohort, date_trunc('month', p.occurred_at)::date) as month,
        count(distinct p.fan_id) as buyers, coalesce(sum(p.micros), 0)::bigint as revenue,
        count(*) filter (p.micros is null and p.value_micros <> 0) as unconverted
    from paid p
    join firsts f using (fan_id)
    group by all
)
select
    s.cohort, s.fans, b.month, b.buyers, b.buyers / s.fans as retention, b.revenue,
    (b.revenue / s.fans)::bigint as per_fan,
    case when b.unconverted > 0 then b.unconverted || ' without a rate' end as left_out
from sizes s
join bought b using (cohort)
where b.month between 0 and $months
order by s.cohort, b.month

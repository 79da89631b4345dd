/* ---
title: Day by day
description: Messages, clicks and conversions of all campaigns a day, and everything that was bought.
owner: team:data
parameters:
  from: date? | first day, in the creator's zone
  to: date? | last day, in the creator's zone
  campaign: text? | only this campaign's messages and revenue
columns:
  day: date | Day | in the creator's zone
  sent: count | Sent | messages that the platform took
  opened: count | Opened | first opens of messages
  clicked: count | Clicked | first clicks of messages
  converted: count | Converted | times a campaign's own goal was reached
  credited: money | Credited revenue | purchases and tips credited to a campaign; other currencies converted
  other: money | Other revenue | purchases and tips without a campaign's touch inside its window, likewise
  left_out: text | Left out | amounts that no rate converts (rules/rates.yaml), in neither sum
tiles:
  Messages sent: sent
  Click rate: clicked / sent
  Credited revenue: credited
  Other revenue: other
chart:
  - kind: line
    x: day
    y: [sent, clicked, converted]
    title: Messages a day
  - kind: area
    x: day
    y: [credited, other]
    stacked: true
    title: Revenue a day
--- */
with zones as (select any_value(zone) as zone from ref('marts.dim_campaigns')),
amounts as (
    select
        a.occurred_at, a.campaign_id, a.value_micros,
        case when r.rate = 1 then a.value_micros else round(a.value_micros * r.rate) end as micros
    from ref('marts.fct_attribution') a
    asof left join ref('marts.dim_rates') r
        on r.currency = a.currency and r.since <= a.occurred_at::date
    where a.goal = 'purchase' and ($campaign is null or a.campaign_id = $campaign)
),
bought as (
    select
        timezone(coalesce(z.zone, 'UTC'), a.occurred_at)::date as day,
        coalesce(sum(a.micros) filter (a.campaign_id is not null), 0)::bigint as credited,
        coalesce(sum(a.micros) filter (a.campaign_id is null), 0)::bigint as other,
        count(*) filter (a.micros is null and a.value_micros <> 0) as unconverted
    from amounts a
    cross join zones z
    group by 1
),
touched as (
    select
        day, sum(sent)::bigint as sent, sum(opened)::bigint as opened, sum(clicked)::bigint as clicked,
        sum(converted)::bigint as converted
    from ref('metrics.campaign_daily')
    where $campaign is null or campaign_id = $campaign
    group by day
),
edges as (
    select
        greatest(min(day), coalesce($from, min(day))) as first,
        least(max(day), coalesce($to, max(day))) as last
    from (select day from bought union all select day from touched)
),
days as (select unnest(generate_series(first, last, interval 1 day))::date as day from edges)
select
    day, coalesce(sent, 0) as sent, coalesce(opened, 0) as opened, coalesce(clicked, 0) as clicked,
    coalesce(converted, 0) as converted, coalesce(credited, 0) as credited, coalesce(other, 0) as other,
    case when unconverted > 0 then unconverted || ' without a rate' end as left_out
from days
left join touched using (day)
left join bought using (day)
order by day desc

/* ---
title: When fans click
description: >
  The share of messages that were clicked, by the weekday and hour in which they were sent. Read cells
  with few messages with care: the table says how many there were.
owner: team:data
parameters:
  from: date? | first day of sending
  to: date? | last day of sending
  platform: text? | only this platform
  campaign: text? | only this campaign
columns:
  weekday: weekday | Weekday | in the creator's zone
  hour: hour | Hour | the hour of sending, 00 to 23, in the creator's zone
  sent: count | Sent | messages sent in that hour
  clicked: count | Clicked | of those, clicked at any later time
  click_rate: percent | Click rate | clicked ÷ sent
tiles:
  Messages sent: sent
  Click rate: clicked / sent
chart:
  - kind: heatmap
    x: hour
    y: weekday
    colour: click_rate
    title: Click rate by hour of sending
  - kind: heatmap
    x: hour
    y: weekday
    colour: sent
    title: Messages sent
--- */
with zones as (select any_value(zone) as zone from ref('marts.dim_campaigns')),
messages as (
    select
        fan_id, message_key,
        min(touched_at) filter (touch = 'sent') as sent_at,
        bool_or(touch = 'clicked') as clicked
    from ref('staging.stg_touches')
    where ($platform is null or platform = $platform) and ($campaign is null or campaign_id = $campaign)
    group by all
),
timed as (
    select timezone(coalesce(z.zone, 'UTC'), m.sent_at) as local_at, m.clicked
    from messages m
    cross join zones z
)
select
    isodow(local_at) as weekday, hour(local_at) as hour, count(*) as sent, count(*) filter (clicked) as clicked,
    count(*) filter (clicked) / count(*) as click_rate
from timed
where local_at is not null and ($from is null or local_at::date >= $from) and ($to is null or local_at::date <= $to)
group by 1, 2
order by 1, 2

/* ---
title: Campaigns at a glance
description: What each campaign sent and what came of it, the largest first.
owner: team:data
parameters:
  from: date? | only campaigns that began on this day or later
  to: date? | only campaigns that began before this day
  campaign: text? | only this campaign
  kind: text? | live, or imported (history from a file)
columns:
  name: text | Campaign
  kind: hidden | Kind
  started: date | Began | the first day of the campaign, in UTC
  audience: count | Audience | recipients decided about; for campaigns of the past, fans it went to
  sent: count | Sent | messages that the platform took
  opened: count | Opened | messages opened, once each; a click implies an open
  clicked: count | Clicked | messages clicked, once each
  converted: count | Converted | times the campaign's own goal was reached
  open_rate: percent | Open rate | opened ÷ sent
  click_rate: percent | Click rate | clicked ÷ sent
  conversion_rate: percent | Conv. rate | converted ÷ sent
  revenue: money | Revenue | purchases and tips credited to the campaign, in the creator's currency
  currency: hidden | Currency
tiles:
  Messages sent: sent
  Open rate: opened / sent
  Click rate: clicked / sent
  Conversion rate: converted / sent
  Revenue: revenue
chart:
  kind: funnel
  x: name
  y: [sent, opened, clicked, converted]
  title: From sent to converted
--- */
select
    m.name, m.kind, d.start_at::date as started, m.audience, m.sent, m.opened, m.clicked, m.converted,
    m.opened / nullif(m.sent, 0) as open_rate,
    m.clicked / nullif(m.sent, 0) as click_rate,
    m.converted / nullif(m.sent, 0) as conversion_rate,
    m.revenue_micros as revenue, m.currency
from ref('metrics.campaign_metrics') m
join ref('marts.dim_campaigns') d using (campaign_id)
where ($from is null or d.start_at >= $from)
    and ($to is null or d.start_at < $to)
    and ($campaign is null or m.campaign_id = $campaign)
    and ($kind is null or m.kind = $kind)
order by m.sent desc, m.campaign_id

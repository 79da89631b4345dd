/* ---
title: By platform
description: Where messages went, and where they worked.
owner: team:data
parameters:
  campaign: text? | only this campaign
columns:
  platform: text | Platform
  sent: count | Sent | messages that the platform took
  delivered: count | Delivered | messages that arrived
  opened: count | Opened | messages opened, once each; a click implies an open
  clicked: count | Clicked | messages clicked, once each
  converted: count | Converted | times a campaign's own goal was reached there
  open_rate: percent | Open rate | opened ÷ sent
  click_rate: percent | Click rate | clicked ÷ sent
  revenue: money | Revenue | purchases credited to touches there
tiles:
  Messages sent: sent
  Click rate: clicked / sent
  Revenue: revenue
chart:
  - kind: bars
    x: platform
    y: [open_rate, click_rate]
    title: Rates by platform
  - kind: bars
    x: platform
    y: revenue
    title: Revenue by platform
--- */
select
    platform, sum(sent)::bigint as sent, sum(delivered)::bigint as delivered,
    sum(opened)::bigint as opened, sum(clicked)::bigint as clicked, sum(converted)::bigint as converted,
    sum(opened) / nullif(sum(sent), 0) as open_rate,
    sum(clicked) / nullif(sum(sent), 0) as click_rate,
    sum(revenue_micros)::bigint as revenue
from ref('metrics.campaign_platform')
where $campaign is null or campaign_id = $campaign
group by platform
order by sent desc, platform

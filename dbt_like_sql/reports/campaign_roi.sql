/* ---
title: Revenue and return by campaign
description: What each campaign earned, what it cost, and what is left; the most revenue first.
owner: team:data
parameters:
  campaign: text? | only this campaign
  kind: text? | live, or imported (history from a file)
columns:
  name: text | Campaign
  revenue: money | Revenue | purchases and tips credited to the campaign, each once; other currencies converted
  cost: money | Cost | all costs booked on the campaign
  profit: money | Left over | revenue − cost
  roas: number | ROAS | revenue ÷ cost
  roi: change | ROI | (revenue − cost) ÷ cost; none without a cost
  per_message: money | Per message | revenue ÷ messages sent
  reason: text | Why no ROI
  currency: hidden | Currency
  known_cost: hidden | Cost, while no amount of any campaign lacks a rate
tiles:
  Revenue: revenue
  Cost: cost
  Left over: profit
  ROI of all costs: revenue / known_cost - 1
chart:
  - kind: bars
    x: name
    y: [revenue, cost]
    title: Revenue and cost
  - kind: bars
    x: name
    y: roi
    title: Return on each unit of cost
    reference: {value: 0, label: break even}
--- */
select
    m.name, r.revenue_micros as revenue, r.cost_micros as cost,
    r.revenue_micros - r.cost_micros as profit,
    r.roas, r.roi,
    (r.revenue_micros / nullif(m.sent, 0))::bigint as per_message,
    r.reason, r.currency,
    case when sum(r.unconverted) over () = 0 then r.cost_micros end as known_cost
from ref('metrics.campaign_roi') r
join ref('metrics.campaign_metrics') m using (campaign_id)
where ($campaign is null or r.campaign_id = $campaign)
    and ($kind is null or m.kind = $kind)
order by r.revenue_micros desc, r.campaign_id

/* ---
description: Campaigns, with what counts as their conversion and where they come from.
grain: [creator_id, campaign_id]
owner: team:data
materialization: table
columns:
  creator_id: VARCHAR | the tenant
  campaign_id: VARCHAR | the campaign
  name: VARCHAR | its name
  type: VARCHAR | its type
  status: VARCHAR | where it stands
  kind: VARCHAR | imported (history from a file) or live
  goal: VARCHAR | the event that counts as its conversion
  currency: VARCHAR | in which its revenue and cost are told
  zone: VARCHAR | the creator's, in which its days are told
  start_at: TIMESTAMPTZ | when it began
  end_at: TIMESTAMPTZ | when it ends
--- */
select
    c.creator_id, c.id as campaign_id, c.name, c.type, c.status,
    case when starts_with(c.source, 'import:') then 'imported' else 'live' end as kind,
    coalesce(json_extract_string(c.settings, '$.goal'), 'purchase') as goal,
    coalesce(o.currency, 'USD') as currency, coalesce(o.zone, 'UTC') as zone, c.start_at, c.end_at
from source('raw.campaigns') c
left join source('raw.creators') o on o.id = c.creator_id

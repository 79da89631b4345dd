/* ---
description: What of an A/B test never changes once it has begun. How it stands is in marts.dim_experiments.
grain: [creator_id, experiment_id]
owner: team:data
materialization: table
columns:
  creator_id: VARCHAR | the tenant
  experiment_id: VARCHAR | the test
  campaign_id: VARCHAR | the campaign it is part of
  metric: VARCHAR | opened, clicked, converted or revenue
  window_s: INTEGER | seconds after its own send in which a recipient counts
  currency: VARCHAR | the creator's
--- */
select
    x.creator_id, x.id as experiment_id, x.campaign_id, x.metric, x.window_s,
    coalesce(o.currency, 'USD') as currency
from source('raw.experiments') x
left join source('raw.creators') o on o.id = x.creator_id

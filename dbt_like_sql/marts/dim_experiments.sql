/* ---
description: A/B tests, with the rule that they are decided by and where they stand.
grain: [creator_id, experiment_id]
owner: team:data
materialization: table
columns:
  creator_id: VARCHAR | the tenant
  experiment_id: VARCHAR | the test
  campaign_id: VARCHAR | the campaign it is part of
  metric: VARCHAR | opened, clicked or converted
  window_s: INTEGER | seconds after its own send in which a recipient counts
  planned_n: INTEGER | recipients planned in all arms, null when open-ended
  alpha: DOUBLE | the chance of a false winner that the rule allows
  state: VARCHAR | running, maturing or how it ended
  winner_variant_id: VARCHAR | the arm that beats every other arm
  started_at: TIMESTAMPTZ | when it began
  decided_at: TIMESTAMPTZ | when it ended
--- */
select
    creator_id, id as experiment_id, campaign_id, metric, window_s, planned_n, alpha, state,
    winner_variant_id, started_at, decided_at
from source('raw.experiments')

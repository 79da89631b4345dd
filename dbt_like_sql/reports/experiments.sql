/* ---
title: A/B tests
description: >
  Every arm of every test with its rate among recipients whose window has passed, and the interval in
  which the true rate lies. A winner beats every other arm.
owner: team:data
parameters:
  experiment: text? | only this test
  campaign: text? | only tests of this campaign
columns:
  experiment: text | Test
  state: text | State | where the test stands; a winner was named by the rule fixed before it began
  metric: text | Metric | what counts
  arm: text | Arm | the first of a test is its control
  winner: flag | Winner
  assigned: count | Assigned | recipients decided for this arm
  matured: count | Matured | recipients whose own window has passed; only they count
  hits: count | Reached | matured recipients who reached the metric; of revenue, who spent anything
  rate: percent | Rate | reached ÷ matured
  low: percent | From | lower end of the 95 % Wilson interval
  high: percent | To | upper end of the 95 % Wilson interval
  spent: money | Spent each | of tests on revenue, what matured recipients spent on average
chart:
  kind: intervals
  x: arm
  y: rate
  low: low
  high: high
  multiples: experiment
  colour: winner
  title: Rates of the arms with 95 % intervals
--- */
with arms as (
    select
        a.experiment_id as experiment, coalesce(x.state, 'running') as state, a.metric,
        a.variant_id as arm, a.position, coalesce(x.winner_variant_id = a.variant_id, false) as winner,
        a.assigned, a.n as matured, a.n, 1.959963984540054 as z,
        case when a.metric = 'revenue' then a.hits else a.sum::bigint end as hits,
        hits / nullif(a.n, 0) as rate,
        case when a.metric = 'revenue' then round(a.sum * 1e6 / nullif(a.n, 0))::bigint end as spent
    from ref('metrics.experiment_arms') a
    left join ref('marts.dim_experiments') x using (experiment_id)
    where ($experiment is null or a.experiment_id = $experiment)
        and ($campaign is null or a.campaign_id = $campaign)
)
select
    experiment, replace(state, '_', ' ') as state, metric, arm, winner, assigned, matured, hits, rate,
    greatest(0, (rate + z * z / (2 * n) - z * sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)))
        / (1 + z * z / n)) as low,
    least(1, (rate + z * z / (2 * n) + z * sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)))
        / (1 + z * z / n)) as high,
    spent
from arms
order by experiment, position, arm

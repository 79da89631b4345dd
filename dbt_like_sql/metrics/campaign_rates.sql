/* ---
description: >
  Each campaign's rates with their 95 % Wilson intervals: in all, by platform, by arm and by segment.
  All are shares of the messages sent, for not every platform tells what it delivered; only click_to_open
  is a share of the opened. A rate is null when nothing was sent, or when more was reached than sent
  (offers redeemed without a message), for then it is no share.
grain: [creator_id, campaign_id, dimension, value, metric]
owner: team:data
materialization: view
columns:
  creator_id: VARCHAR | the tenant
  campaign_id: VARCHAR | the campaign
  dimension: VARCHAR | all, platform, variant or segment
  value: VARCHAR | which one; all for the whole campaign
  metric: VARCHAR | delivery, open, human_open, click, human_click, click_to_open, human_click_to_open or conversion
  numerator: BIGINT | messages that got so far; for conversion, fans who reached the goal
  denominator: BIGINT | messages sent; for click_to_open, opened
  rate: DOUBLE | numerator / denominator
  low: DOUBLE | lower bound
  high: DOUBLE | upper bound
audits:
  inside: select * from this where not (low <= rate and rate <= high and low >= 0 and high <= 1)
--- */
with converters as (
    select
        c.creator_id, c.campaign_id,
        case when grouping(c.platform) = 0 then 'platform' when grouping(c.variant_id) = 0 then 'variant'
            else 'all' end as dimension,
        case when grouping(c.platform) = 0 then coalesce(c.platform, 'unknown')
            when grouping(c.variant_id) = 0 then coalesce(c.variant_id, 'none') else 'all' end as value,
        count(distinct c.fan_id) as converters
    from ref('marts.fct_conversions') c
    join ref('marts.dim_campaigns') d using (creator_id, campaign_id)
    where c.goal = d.goal
    group by grouping sets (
        (c.creator_id, c.campaign_id), (c.creator_id, c.campaign_id, c.platform),
        (c.creator_id, c.campaign_id, c.variant_id)
    )
),
cells as (
    select
        creator_id, campaign_id, 'all' as dimension, 'all' as value, sent, delivered, opened, clicked,
        human_opened, human_clicked
    from ref('metrics.campaign_metrics')
    union all
    select
        creator_id, campaign_id, 'platform', platform, sent, delivered, opened, clicked, human_opened,
        human_clicked
    from ref('metrics.campaign_platform')
    union all
    select
        creator_id, campaign_id, 'variant', variant_id, sent, delivered, opened, clicked, human_opened,
        human_clicked
    from ref('metrics.campaign_variant')
),
counted as (
    select c.*, coalesce(v.converters, 0) as converters
    from cells c
    left join converters v using (creator_id, campaign_id, dimension, value)
    union all
    select
        creator_id, campaign_id, 'segment', segment_id, sent, delivered, opened, clicked, human_opened,
        human_clicked, converters
    from ref('metrics.campaign_segment')
),
shares as (
    select
        creator_id, campaign_id, dimension, value,
        unnest([
            {'name': 'delivery', 'x': delivered, 'n': sent},
            {'name': 'open', 'x': opened, 'n': sent},
            {'name': 'human_open', 'x': human_opened, 'n': sent},
            {'name': 'click', 'x': clicked, 'n': sent},
            {'name': 'human_click', 'x': human_clicked, 'n': sent},
            {'name': 'click_to_open', 'x': clicked, 'n': opened},
            {'name': 'human_click_to_open', 'x': human_clicked, 'n': human_opened},
            {'name': 'conversion', 'x': converters, 'n': sent}
        ]) as s
    from counted
),
rates as (
    select
        creator_id, campaign_id, dimension, value, s.name as metric, s.x as numerator, s.n as denominator,
        case when s.n > 0 and s.x <= s.n then s.x / s.n end as rate,
        -- z² / n for z = 1.959963984540054, the 97.5 % point of the normal distribution
        case when s.n > 0 then 3.8414588206941254 / s.n end as w
    from shares
)
select
    creator_id, campaign_id, dimension, value, metric, numerator, denominator, rate,
    -- At none and at all the bound is exact; rounding must not take it past the rate.
    case when rate = 0 then 0.0
        else (rate + w / 2 - sqrt(w * (rate * (1 - rate) + w / 4))) / (1 + w) end as low,
    case when rate = 1 then 1.0
        else (rate + w / 2 + sqrt(w * (rate * (1 - rate) + w / 4))) / (1 + w) end as high
from rates

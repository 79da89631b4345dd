/* ---
description: >
  The cube in each campaign's own terms: what counts as converted for it, which money is the creator's.
  One row of the cube is one row here; every table "by" something is a sum of these.
grain: [creator_id, campaign_id, platform, variant_id, slot, goal, currency]
owner: team:data
materialization: view
columns:
  creator_id: VARCHAR | the tenant
  campaign_id: VARCHAR | the campaign
  platform: VARCHAR | where; unknown when nobody said
  variant_id: VARCHAR | the arm; none outside experiments
  slot: TIMESTAMPTZ | the quarter of an hour, its beginning
  zone: VARCHAR | the creator's
  goal: VARCHAR | of conversions, the goal; empty for touches
  currency: VARCHAR | of conversions, the money's; empty without money
  sent: BIGINT | messages sent
  delivered: BIGINT | messages delivered
  opened: BIGINT | messages opened, machines included
  clicked: BIGINT | messages clicked, machines included
  human_opened: BIGINT | messages opened by the fan itself
  human_clicked: BIGINT | messages clicked by the fan itself
  converted: BIGINT | times that the campaign's goal was reached
  purchases: BIGINT | purchases credited
  revenue_micros: BIGINT | their sum, in the creator's currency
  foreign_purchases: BIGINT | credited purchases in other currencies, not in the sum
--- */
select
    c.creator_id, c.campaign_id, c.platform, c.variant_id, c.slot, d.zone, c.goal, c.currency,
    c.sent, c.delivered, c.opened, c.clicked, c.human_opened, c.human_clicked,
    case when c.goal = d.goal then c.reached else 0 end as converted,
    case when c.goal = 'purchase' then c.reached else 0 end as purchases,
    case when c.goal = 'purchase' and c.currency = d.currency then c.micros else 0 end
        as revenue_micros,
    case when c.goal = 'purchase' and c.currency <> d.currency then c.reached else 0 end
        as foreign_purchases
from ref('metrics.campaign_cube') c
join ref('marts.dim_campaigns') d using (creator_id, campaign_id)

/* ---
description: >
  Each campaign's numbers by platform, arm and hour; they may be added up over any of these, and every
  other table "by" something is such a sum. A touch counts when it was first made, and again, as human,
  when the fan itself first made it. A zone of half an hour cuts an hour of UTC in two.
grain: [creator_id, campaign_id, platform, variant_id, hour, day, hour_of_day]
owner: team:data
materialization: view
columns:
  creator_id: VARCHAR | the tenant
  campaign_id: VARCHAR | the campaign
  platform: VARCHAR | where; unknown when nobody said
  variant_id: VARCHAR | the arm; none outside experiments
  hour: TIMESTAMPTZ | its beginning, UTC
  day: DATE | in the creator's zone
  hour_of_day: BIGINT | 0 to 23, in the creator's zone
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
    creator_id, campaign_id, platform, variant_id,
    date_trunc('hour', slot) as hour,
    timezone(zone, slot)::date as day,
    hour(timezone(zone, slot)) as hour_of_day,
    sum(sent)::bigint as sent,
    sum(delivered)::bigint as delivered,
    sum(opened)::bigint as opened,
    sum(clicked)::bigint as clicked,
    sum(human_opened)::bigint as human_opened,
    sum(human_clicked)::bigint as human_clicked,
    sum(converted)::bigint as converted,
    sum(purchases)::bigint as purchases,
    sum(revenue_micros)::bigint as revenue_micros,
    sum(foreign_purchases)::bigint as foreign_purchases
from ref('metrics.campaign_slots')
group by all

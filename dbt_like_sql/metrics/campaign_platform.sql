/* ---
description: Each campaign's numbers by platform.
grain: [creator_id, campaign_id, platform]
owner: team:data
materialization: view
columns:
  creator_id: VARCHAR | the tenant
  campaign_id: VARCHAR | the campaign
  platform: VARCHAR | where; unknown when nobody said
  sent: BIGINT | messages sent
  delivered: BIGINT | messages delivered
  opened: BIGINT | messages opened, machines included
  clicked: BIGINT | messages clicked, machines included
  human_opened: BIGINT | messages opened by the fan itself
  human_clicked: BIGINT | messages clicked by the fan itself
  converted: BIGINT | times that the campaign's goal was reached
  revenue_micros: BIGINT | credited purchases, in the creator's currency
--- */
select
    creator_id, campaign_id, platform,
    sum(sent)::bigint as sent,
    sum(delivered)::bigint as delivered,
    sum(opened)::bigint as opened,
    sum(clicked)::bigint as clicked,
    sum(human_opened)::bigint as human_opened,
    sum(human_clicked)::bigint as human_clicked,
    sum(converted)::bigint as converted,
    sum(revenue_micros)::bigint as revenue_micros
from ref('metrics.campaign_slots')
group by creator_id, campaign_id, platform

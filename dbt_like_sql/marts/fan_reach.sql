/* ---
description: How many messages reached each fan, and what it did with them; each message once.
grain: [creator_id, fan_id]
owner: team:data
materialization: incremental
incremental:
  key: [creator_id, fan_id]
  reads: {staging.stg_touches: {}}
  merge: {received: sum, opened: sum, clicked: sum}
columns:
  creator_id: VARCHAR | the tenant
  fan_id: VARCHAR | the fan
  received: BIGINT | messages that went to it
  opened: BIGINT | of those, opened
  clicked: BIGINT | of those, clicked
--- */
select
    creator_id, fan_id,
    count(*) filter (touch = 'sent') as received,
    count(*) filter (touch = 'opened') as opened,
    count(*) filter (touch = 'clicked') as clicked
from ref('staging.stg_touches')
group by creator_id, fan_id

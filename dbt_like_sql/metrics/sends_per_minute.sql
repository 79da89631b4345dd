/* ---
description: Messages that platforms accepted, by account and minute.
grain: [creator_id, account_id, minute]
owner: team:data
materialization: incremental
incremental:
  partition: minute
  reads:
    staging.stg_messages: {time: sent_at}
columns:
  creator_id: VARCHAR | the tenant
  account_id: VARCHAR | the sending account
  platform: VARCHAR | where
  minute: TIMESTAMPTZ | its beginning, UTC
  sends: BIGINT | messages accepted in it
--- */
select
    creator_id, account_id, min(platform) as platform, date_trunc('minute', sent_at) as minute,
    count(*) as sends
from ref('staging.stg_messages')
where state = 'sent' and sent_at is not null
group by creator_id, account_id, date_trunc('minute', sent_at)

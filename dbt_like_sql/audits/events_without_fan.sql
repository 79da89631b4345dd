/* ---
description: Events about fans that the creator does not have.
owner: team:data
severity: warn
--- */
select e.creator_id, e.fan_id, count(*) as events
from ref('staging.stg_events') e
anti join source('raw.fans') f on f.creator_id = e.creator_id and f.id = e.fan_id
group by all

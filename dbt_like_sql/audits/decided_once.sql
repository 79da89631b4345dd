/* ---
description: Nobody was decided about twice for the same step and occurrence of the same reason.
owner: team:data
--- */
select creator_id, source, source_id, fan_id, step, occurrence, count(*) as times
from ref('staging.stg_messages')
group by all
having count(*) > 1

/* ---
description: Revenue in the metrics is all money in the events, to the micro-unit.
owner: team:data
--- */
select p.creator_id, p.micros as in_events, r.micros as in_metrics
from (
    select creator_id, sum(value_micros) as micros from ref('staging.stg_purchases') group by all
) p
full join (
    select creator_id, sum(total_micros) as micros from ref('metrics.revenue') group by all
) r using (creator_id)
where p.micros is distinct from r.micros

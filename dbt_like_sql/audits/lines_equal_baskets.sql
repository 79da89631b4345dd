/* ---
description: The lines of a basket add up to what was paid for it.
owner: team:data
--- */
select p.creator_id, p.event_id, p.value_micros, l.micros as lines_micros
from ref('staging.stg_purchases') p
join (
    select creator_id, event_id, sum(value_micros) as micros from ref('staging.stg_lines') group by all
) l using (creator_id, event_id)
where p.value_micros <> l.micros

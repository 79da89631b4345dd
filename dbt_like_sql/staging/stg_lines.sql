/* ---
description: What was in each basket.
grain: [creator_id, event_id, line]
owner: team:data
materialization: view
columns:
  creator_id: VARCHAR | the tenant
  event_id: VARCHAR | the purchase
  line: BIGINT | 1 is the first
  item_id: VARCHAR | what was bought
  quantity: DOUBLE | how much of it
  value_micros: BIGINT | paid for the line, in micro-units
  discount_micros: BIGINT | taken off before, in micro-units
--- */
select creator_id, event_id, line, item_id, quantity, value_micros, discount_micros
from source('raw.lines')

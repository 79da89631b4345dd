/* ---
description: Every campaign and automation accounts for its whole audience.
owner: team:data
--- */
select * from ref('metrics.reconciliation') where not balanced

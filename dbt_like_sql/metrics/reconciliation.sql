/* ---
description: >
  The books: for every campaign and automation, the audience and what became of each of it. Balanced
  means that nothing is lost and nothing counted twice. Of imported history only the sent are known.
grain: [creator_id, source, source_id]
owner: team:data
materialization: view
columns:
  creator_id: VARCHAR | the tenant
  source: VARCHAR | campaign, automation or api
  source_id: VARCHAR | which one
  audience: BIGINT | recipients (fan, step and occurrence) decided about
  sent: BIGINT | accepted by the platform
  skipped: BIGINT | decided not to send, with a reason
  failed: BIGINT | refused for good
  expired: BIGINT | too late to send
  unknown: BIGINT | the platform's answer was lost
  pending: BIGINT | still on their way, or waiting for a test's winner
  cancelled: BIGINT | stopped by a person
  sent_events: BIGINT | messages with a sent event, for comparison
  balanced: BOOLEAN | audience = the sum of the rest
--- */
select
    creator_id, source, source_id,
    decided + imported as audience,
    sent + imported as sent,
    skipped, failed, expired, unknown, pending, cancelled, sent_events,
    decided = sent + skipped + failed + expired + unknown + pending + cancelled as balanced
from ref('metrics.books')
where decided > 0 or imported > 0

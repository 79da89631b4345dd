/* ---
description: >
  What became of everybody that was decided about, in counts that may be added up; read
  metrics.reconciliation.
grain: [creator_id, source, source_id]
owner: team:data
materialization: incremental
incremental:
  key: [creator_id, source, source_id]
  reads: {staging.stg_messages: {}, staging.stg_touches: {}}
  merge:
    decided: sum
    sent: sum
    skipped: sum
    failed: sum
    expired: sum
    unknown: sum
    pending: sum
    cancelled: sum
    sent_events: sum
    imported: sum
columns:
  creator_id: VARCHAR | the tenant
  source: VARCHAR | campaign, automation or api
  source_id: VARCHAR | which one
  decided: BIGINT | messages decided about, one for each recipient, step and occurrence
  sent: BIGINT | accepted by the platform
  skipped: BIGINT | decided not to send, with a reason
  failed: BIGINT | refused for good
  expired: BIGINT | too late to send
  unknown: BIGINT | the platform's answer was lost
  pending: BIGINT | still on their way, or waiting for a test's winner
  cancelled: BIGINT | stopped by a person
  sent_events: BIGINT | messages of ours with a sent event, and all of the past
  imported: BIGINT | messages of the past, known from files only
--- */
with booked as (
    select
        creator_id, source, source_id,
        count(*) as decided,
        count(*) filter (state = 'sent') as sent,
        count(*) filter (state = 'skipped') as skipped,
        count(*) filter (state = 'failed') as failed,
        count(*) filter (state = 'expired') as expired,
        count(*) filter (state = 'unknown') as unknown,
        count(*) filter (state in ('held', 'decided', 'queued', 'claimed')) as pending,
        count(*) filter (state = 'cancelled') as cancelled
    from ref('staging.stg_messages')
    group by all
),
touched as (
    select
        creator_id, source, source_id,
        count(*) filter (message_at is not null or kind = 'imported') as sent_events,
        count(*) filter (message_at is null and kind = 'imported') as imported
    from ref('staging.stg_touches')
    where touch = 'sent' and source is not null
    group by all
)
select
    creator_id, source, source_id,
    coalesce(b.decided, 0) as decided,
    coalesce(b.sent, 0) as sent,
    coalesce(b.skipped, 0) as skipped,
    coalesce(b.failed, 0) as failed,
    coalesce(b.expired, 0) as expired,
    coalesce(b.unknown, 0) as unknown,
    coalesce(b.pending, 0) as pending,
    coalesce(b.cancelled, 0) as cancelled,
    coalesce(t.sent_events, 0) as sent_events,
    coalesce(t.imported, 0) as imported
from booked b
full join touched t using (creator_id, source, source_id)
where b.decided > 0 or t.sent_events > 0 or t.imported > 0

/* ---
description: >
  The books: for every campaign and automation, the audience and what became of each of it. Balanced
  means that nothing is lost and nothing counted twice. Of imported history only the sent are known.
grain: [creator_id, source, source_id]
owner: team:data
materialization: table
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
with booked as (
    select
        creator_id, source, source_id,
        count(distinct (fan_id, step, occurrence)) as audience,
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
        count(*) filter (message_at is null and kind = 'imported') as imported,
        count(distinct fan_id) filter (message_at is null and kind = 'imported') as reached
    from ref('staging.stg_touches')
    where touch = 'sent' and source is not null
    group by all
)
select
    creator_id, source, source_id,
    coalesce(b.audience, 0) + coalesce(t.reached, 0) as audience,
    coalesce(b.sent, 0) + coalesce(t.imported, 0) as sent,
    coalesce(b.skipped, 0) as skipped,
    coalesce(b.failed, 0) as failed,
    coalesce(b.expired, 0) as expired,
    coalesce(b.unknown, 0) as unknown,
    coalesce(b.pending, 0) as pending,
    coalesce(b.cancelled, 0) as cancelled,
    coalesce(t.sent_events, 0) as sent_events,
    coalesce(b.audience, 0) + coalesce(t.reached, 0)
        = coalesce(b.sent, 0) + coalesce(t.imported, 0) + coalesce(b.skipped, 0)
        + coalesce(b.failed, 0) + coalesce(b.expired, 0) + coalesce(b.unknown, 0)
        + coalesce(b.pending, 0) + coalesce(b.cancelled, 0) as balanced
from booked b
full join touched t using (creator_id, source, source_id)
where b.audience is not null or t.imported > 0

/* ---
description: >
  The books: for every campaign and automation, the audience and what became of each of it. Balanced
  means that nothing is lost and nothing counted twice.
grain: [creator_id, source, source_id]
owner: team:data
materialization: table
columns:
  creator_id: VARCHAR | the tenant
  source: VARCHAR | campaign, automation, api, or import for campaigns of the past
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
with live as (
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
    select m.creator_id, m.source, m.source_id, count(*) as sent_events
    from ref('staging.stg_touches') t
    join ref('staging.stg_messages') m using (creator_id, message_id)
    where t.touch = 'sent'
    group by all
),
history as (
    select
        t.creator_id, 'import' as source, t.campaign_id as source_id,
        count(distinct t.fan_id) as audience, count(*) as sent
    from ref('staging.stg_touches') t
    join ref('marts.dim_campaigns') d using (creator_id, campaign_id)
    where t.touch = 'sent' and d.kind = 'imported'
    group by all
)
select
    l.*, coalesce(t.sent_events, 0) as sent_events,
    l.audience = l.sent + l.skipped + l.failed + l.expired + l.unknown + l.pending + l.cancelled
        as balanced
from live l
left join touched t using (creator_id, source, source_id)
union all
select
    creator_id, source, source_id, audience, sent, 0, 0, 0, 0, 0, 0, sent, audience = sent
from history

/* ---
description: >
  Each campaign's numbers. `converted` counts the campaign's own goal: coupons redeemed for imported
  mailings, purchases credited for the others. Revenue is credited purchases in the creator's currency.
  `taken` to `cancelled` are the books: together they are the audience.
grain: [creator_id, campaign_id]
owner: team:data
materialization: table
columns:
  creator_id: VARCHAR | the tenant
  campaign_id: VARCHAR | the campaign
  name: VARCHAR | its name
  kind: VARCHAR | imported or live
  goal: VARCHAR | what counts as converted
  audience: BIGINT | recipients it was decided for, or of the past that it went to
  sent: BIGINT | messages sent
  delivered: BIGINT | of those, delivered
  opened: BIGINT | of those, opened, machines included
  clicked: BIGINT | of those, clicked, machines included
  human_opened: BIGINT | of those, opened by the fan itself
  human_clicked: BIGINT | of those, clicked by the fan itself
  converted: BIGINT | times that the goal was reached
  converters: BIGINT | fans who reached it
  purchases: BIGINT | purchases credited
  revenue_micros: BIGINT | their sum, in micro-units of `currency`
  currency: VARCHAR | the creator's
  foreign_purchases: BIGINT | credited purchases in other currencies, not in the sum
  taken: BIGINT | by the books, accepted by the platform
  skipped: BIGINT | decided not to send, with a reason
  failed: BIGINT | refused for good
  expired: BIGINT | too late to send
  unknown: BIGINT | the platform's answer was lost
  pending: BIGINT | still on their way
  cancelled: BIGINT | stopped by a person
audits:
  humans_are_among_all: select * from this where human_opened > opened or human_clicked > clicked
--- */
with counts as (
    select
        creator_id, campaign_id,
        sum(sent) as sent, sum(delivered) as delivered, sum(opened) as opened,
        sum(clicked) as clicked, sum(human_opened) as human_opened,
        sum(human_clicked) as human_clicked, sum(converted) as converted,
        sum(purchases) as purchases, sum(revenue_micros) as revenue_micros,
        sum(foreign_purchases) as foreign_purchases
    from ref('metrics.campaign_slots')
    group by all
),
converters as (
    select c.creator_id, c.campaign_id, count(distinct c.fan_id) as converters
    from ref('marts.fct_conversions') c
    join ref('marts.dim_campaigns') d using (creator_id, campaign_id)
    where c.goal = d.goal
    group by all
),
books as (
    select * rename (source_id as campaign_id)
    from ref('metrics.reconciliation')
    where source = 'campaign'
)
select
    d.creator_id, d.campaign_id, d.name, d.kind, d.goal,
    coalesce(b.audience, 0) as audience,
    coalesce(c.sent, 0)::bigint as sent,
    coalesce(c.delivered, 0)::bigint as delivered,
    coalesce(c.opened, 0)::bigint as opened,
    coalesce(c.clicked, 0)::bigint as clicked,
    coalesce(c.human_opened, 0)::bigint as human_opened,
    coalesce(c.human_clicked, 0)::bigint as human_clicked,
    coalesce(c.converted, 0)::bigint as converted,
    coalesce(v.converters, 0) as converters,
    coalesce(c.purchases, 0)::bigint as purchases,
    coalesce(c.revenue_micros, 0)::bigint as revenue_micros,
    d.currency,
    coalesce(c.foreign_purchases, 0)::bigint as foreign_purchases,
    coalesce(b.sent, 0) as taken,
    coalesce(b.skipped, 0) as skipped,
    coalesce(b.failed, 0) as failed,
    coalesce(b.expired, 0) as expired,
    coalesce(b.unknown, 0) as unknown,
    coalesce(b.pending, 0) as pending,
    coalesce(b.cancelled, 0) as cancelled
from ref('marts.dim_campaigns') d
left join counts c using (creator_id, campaign_id)
left join converters v using (creator_id, campaign_id)
left join books b using (creator_id, campaign_id)

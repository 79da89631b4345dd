/* ---
description: >
  What each campaign cost and brought, in the creator's currency. ROI is (revenue - cost) / cost and
  ROAS revenue / cost; without a cost, or with amounts that no rate converts, there is none, and the
  reason says so. Influenced is every purchase with a touch of the campaign, in full, whoever gets the
  credit: over campaigns it adds up to more than there is.
grain: [creator_id, campaign_id]
owner: team:data
materialization: table
columns:
  creator_id: VARCHAR | the tenant
  campaign_id: VARCHAR | the campaign
  currency: VARCHAR | the creator's
  revenue_micros: BIGINT | credited purchases; other currencies converted by the rate of their day
  cost_micros: BIGINT | all costs, converted likewise
  fixed_micros: BIGINT | of that, fixed
  per_message_micros: BIGINT | of that, per message
  discount_micros: BIGINT | of that, discounts
  media_micros: BIGINT | of that, media
  profit_micros: BIGINT | revenue - cost
  roas: DOUBLE | revenue / cost
  roi: DOUBLE | (revenue - cost) / cost
  reason: VARCHAR | why roas and roi are null
  unconverted: BIGINT | credits and costs that no rate converts, in none of the sums
  influenced: BIGINT | purchases with a touch of the campaign inside its window
  influenced_micros: BIGINT | their whole value, converted
  recipients: BIGINT | messages sent
  immature: BIGINT | of those, whose window is not over (their purchases may still come), by quarters of an hour
  immature_share: DOUBLE | immature / recipients
  as_of: TIMESTAMPTZ | the clock that judged it
audits:
  costs_add_up: >
    select campaign_id from this
    where cost_micros <> fixed_micros + per_message_micros + discount_micros + media_micros
  influence_covers_credit: >
    select campaign_id from this where revenue_micros > influenced_micros
--- */
with amounts as (
    select creator_id, campaign_id, kind as what, currency, day, purchases as n, micros
    from ref('metrics.campaign_income')
    union all
    select creator_id, campaign_id, kind, currency, day, 1, amount_micros
    from ref('metrics.campaign_costs')
),
converted as (
    select
        a.creator_id, a.campaign_id, a.what, a.n,
        case when a.micros = 0 or r.rate = 1 then a.micros else round(a.micros * r.rate) end as micros,
        case
            when a.micros <> 0 and r.rate is null and a.what <> 'influenced'
                then case when a.currency = 'none' then 'an unknown currency' else a.currency end
                    || ' on or before ' || a.day
        end as lacking
    from amounts a
    asof left join ref('marts.dim_rates') r
        on r.creator_id = a.creator_id and r.currency = a.currency and r.since <= a.day
),
summed as (
    select
        creator_id, campaign_id,
        coalesce(sum(micros) filter (what = 'revenue'), 0)::bigint as revenue,
        coalesce(sum(micros) filter (what = 'fixed'), 0)::bigint as fixed,
        coalesce(sum(micros) filter (what = 'per_message'), 0)::bigint as per_message,
        coalesce(sum(micros) filter (what = 'discount'), 0)::bigint as discount,
        coalesce(sum(micros) filter (what = 'media'), 0)::bigint as media,
        count(*) filter (what not in ('revenue', 'influenced')) as booked,
        coalesce(sum(n) filter (what = 'influenced'), 0)::bigint as influenced,
        coalesce(sum(micros) filter (what = 'influenced'), 0)::bigint as influenced_micros,
        coalesce(sum(n) filter (lacking is not null), 0)::bigint as unconverted,
        min(lacking) as lacking
    from converted
    group by all
),
-- A window that ends later than now is open: of what was sent after this instant.
open as (
    select
        d.creator_id, d.campaign_id,
        c.as_of - interval 15 minutes - to_seconds(coalesce(max(w.seconds), 0)) as since
    from ref('marts.dim_campaigns') d
    cross join source('raw.clock') c
    left join source('raw.windows') w on w.goal = d.goal
    group by d.creator_id, d.campaign_id, c.as_of
),
sends as (
    select
        s.creator_id, s.campaign_id, sum(s.sent)::bigint as recipients,
        coalesce(sum(s.sent) filter (s.slot > o.since), 0)::bigint as immature
    from ref('metrics.campaign_cube') s
    join open o using (creator_id, campaign_id)
    where s.sent > 0
    group by all
),
joined as (
    select
        d.creator_id, d.campaign_id, d.currency, c.as_of,
        coalesce(s.revenue, 0) as revenue, coalesce(s.fixed, 0) as fixed,
        coalesce(s.per_message, 0) as per_message, coalesce(s.discount, 0) as discount,
        coalesce(s.media, 0) as media,
        coalesce(s.fixed + s.per_message + s.discount + s.media, 0) as cost,
        coalesce(s.influenced, 0) as influenced, coalesce(s.influenced_micros, 0) as influenced_micros,
        coalesce(s.unconverted, 0) as unconverted, s.lacking, coalesce(s.booked, 0) as booked,
        coalesce(t.recipients, 0) as recipients, coalesce(t.immature, 0) as immature
    from ref('marts.dim_campaigns') d
    cross join source('raw.clock') c
    left join summed s using (creator_id, campaign_id)
    left join sends t using (creator_id, campaign_id)
)
select
    creator_id, campaign_id, currency, revenue as revenue_micros, cost as cost_micros,
    fixed as fixed_micros, per_message as per_message_micros, discount as discount_micros,
    media as media_micros, revenue - cost as profit_micros,
    case when cost > 0 and unconverted = 0 then revenue::double / cost end as roas,
    case when cost > 0 and unconverted = 0 then (revenue - cost)::double / cost end as roi,
    case
        when unconverted > 0 then 'no rate to ' || currency || ' from ' || lacking || ': '
            || unconverted || ' amounts are left out'
        when cost <= 0 and booked > 0 then 'its costs add up to nothing'
        when cost <= 0 then 'no cost is booked on it or declared by it'
    end as reason,
    unconverted, influenced, influenced_micros, recipients, immature,
    case when recipients > 0 then immature::double / recipients end as immature_share,
    as_of
from joined

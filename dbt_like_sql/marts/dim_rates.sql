/* ---
description: >
  For every currency and day that amounts of a creator have: the rate to the creator's own currency,
  the latest on or before that day (rules/rates.yaml), also read backwards. Without one the rate is
  null, and what needs it says so.
grain: [creator_id, currency, day]
owner: team:data
materialization: table
columns:
  creator_id: VARCHAR | the tenant
  currency: VARCHAR | of amounts
  day: DATE | of amounts, in UTC
  home: VARCHAR | the creator's currency
  rate: DOUBLE | how much of `home` one unit of `currency` was worth
  rate_day: DATE | since when that rate holds; null for the creator's own currency
--- */
with asked as (
    select distinct creator_id, currency, occurred_at::date as day
    from ref('staging.stg_conversions')
    where currency is not null
    union
    select creator_id, currency, day from ref('marts.fct_costs')
),
both_ways as (
    select base, quote, day, rate, false as backwards from source('raw.rates')
    union all
    select quote, base, day, 1 / rate, true from source('raw.rates')
),
known as (
    select base, quote, day, rate
    from both_ways
    qualify row_number() over (partition by base, quote, day order by backwards) = 1
),
homes as (
    select a.creator_id, a.currency, a.day, coalesce(c.currency, 'USD') as home
    from asked a
    left join source('raw.creators') c on c.id = a.creator_id
)
select
    h.creator_id, h.currency, h.day, h.home,
    case when h.currency = h.home then 1.0::double else k.rate end as rate,
    case when h.currency <> h.home then k.day end as rate_day
from homes h
asof left join known k on k.base = h.currency and k.quote = h.home and k.day <= h.day

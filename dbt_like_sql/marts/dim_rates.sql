/* ---
description: >
  For every creator: what other currencies were worth in its own, from which day on (rules/rates.yaml, also
  read backwards). The rate of an amount is the latest one on or before its day: an `asof` join.
grain: [creator_id, currency, since]
owner: team:data
materialization: table
columns:
  creator_id: VARCHAR | the tenant
  currency: VARCHAR | of amounts
  since: DATE | the first day that the rate holds
  home: VARCHAR | the creator's currency
  rate: DOUBLE | how much of `home` one unit of `currency` was worth
--- */
with homes as (
    select creator_id, currency as home from ref('marts.dim_campaigns')
    union
    select id, coalesce(currency, 'USD') from source('raw.creators')
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
)
select h.creator_id, k.base as currency, k.day as since, h.home, k.rate
from homes h
join known k on k.quote = h.home and k.base <> h.home
union all
select creator_id, home, date '0001-01-01', home, 1.0::double
from homes

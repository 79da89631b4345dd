/* ---
description: Every fact about a fan, once, as it arrived.
grain: [creator_id, event_id]
owner: team:data
materialization: view
columns:
  creator_id: VARCHAR | the tenant
  event_id: VARCHAR | the sender's id of the fact
  name: VARCHAR | what happened
  fan_id: VARCHAR | to whom
  platform: VARCHAR | where, if anywhere
  account_id: VARCHAR | the account of ours concerned
  campaign_id: VARCHAR | the campaign it is about, named by its sender or by the message
  message_id: VARCHAR | the message it is about
  message_key: VARCHAR | the message, or the campaign where messages are not told apart
  value_micros: BIGINT | money, in micro-units of the currency
  currency: VARCHAR | ISO 4217
  occurred_at: TIMESTAMPTZ | when it happened
  received_at: TIMESTAMPTZ | when we learned of it
  kind: VARCHAR | imported (from a file) or live
  message_at: TIMESTAMPTZ | when the message it is about was decided
  message_sent_at: TIMESTAMPTZ | when that message had been sent, as far as was known when the event arrived
  message_source: VARCHAR | campaign, automation or api, from the message or else the campaign
  message_source_id: VARCHAR | which one
  variant_id: VARCHAR | the message's arm
  bot: BOOLEAN | an open or a click by a machine, not by the fan (rules/bots.yaml)
  trapped: BOOLEAN | that was known by the hidden link
  properties: VARCHAR | what else was said, as JSON
--- */
with rules as (
    select
        list(value) filter (rule = 'agent') as words,
        list(value order by value) filter (rule = 'faster_than') as paces,
        list(micros order by value) filter (rule = 'faster_than') as limits,
        list(value || '/') filter (rule = 'honeypot') as paths
    from source('raw.bots')
),
told as (
    select
        e.*, r.words, r.limits[list_position(r.paces, e.platform || ':' || e.name)] as pace,
        case when e.name in ('opened', 'clicked') then coalesce(
            json_extract_string(e.properties, '$.honeypot') = 'true' or contains(
                split_part(split_part(coalesce(
                    json_extract_string(e.properties, '$.link'), json_extract_string(e.properties, '$.url')
                ), '?', 1), '#', 1) || '/', r.paths[1]), false)
            else false end as trapped,
        -- Looked up once a row: inside the lambda below it would be once a row and word.
        case when name in ('opened', 'clicked') then translate(coalesce(
            json_extract_string(e.properties, '$.user_agent'), json_extract_string(e.properties, '$.userAgent')
        ), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') end as agent
    from source('raw.events') e
    cross join rules r
)
select
    creator_id, event_id, name, fan_id, platform, account_id,
    coalesce(campaign_id, case when message_source = 'campaign' then message_source_id end)
        as campaign_id,
    message_id,
    coalesce(message_id, campaign_id) as message_key,
    value_micros, currency, occurred_at, received_at,
    case when starts_with(source, 'import:') then 'imported' else 'live' end as kind,
    message_at, message_sent_at,
    coalesce(message_source, case when campaign_id is not null then 'campaign' end)
        as message_source,
    coalesce(message_source_id, campaign_id) as message_source_id,
    variant_id,
    case when name in ('opened', 'clicked') then
        trapped
        or coalesce(
            occurred_at >= message_sent_at and occurred_at < message_sent_at + to_microseconds(pace),
            false)
        or case when agent is null then false
            else coalesce(len(list_filter(words, lambda word: contains(agent, word))) > 0, false) end
        else false end as bot,
    trapped, properties
from told

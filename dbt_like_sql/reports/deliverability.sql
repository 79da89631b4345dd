/* ---
title: What was not sent, and why
description: >
  Every recipient of campaigns, automations and single messages, and what became of it. The books
  balance: audience = sent + skipped + failed + expired + unknown + cancelled + pending.
owner: team:data
parameters:
  from: date? | first day on which it was decided
  to: date? | last day on which it was decided
  campaign: text? | only this campaign
columns:
  outcome: text | Outcome | where the message stands
  reason: text | Reason | why it was not sent
  messages: count | Messages | recipients with this outcome and reason
  fans: count | Fans | different fans among them
  share: percent | Share | of all messages
  last_at: instant | Last | when it was last decided so
tiles:
  Recipients: messages
chart:
  - kind: bars
    x: reason
    y: messages
    colour: outcome
    title: Messages by outcome and reason
--- */
select
    state as outcome,
    coalesce(nullif(replace(split_part(reason, ':', 1), '_', ' '), ''),
        case state when 'sent' then 'sent' else 'no reason stated' end) as reason,
    count(*) as messages, count(distinct fan_id) as fans,
    count(*) / sum(count(*)) over () as share,
    max(decided_at) as last_at
from ref('staging.stg_messages')
where ($from is null or decided_at::date >= $from) and ($to is null or decided_at::date <= $to)
    and ($campaign is null or campaign_id = $campaign)
group by 1, 2
order by messages desc, outcome, reason

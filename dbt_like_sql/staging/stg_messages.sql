/* ---
description: Every decision about a recipient, sent or not, with its reason.
grain: [creator_id, message_id]
owner: team:data
materialization: view
columns:
  creator_id: VARCHAR | the tenant
  message_id: VARCHAR | the message
  source: VARCHAR | campaign, automation or api
  source_id: VARCHAR | which one
  campaign_id: VARCHAR | the campaign, for messages of campaigns
  fan_id: VARCHAR | the recipient
  step: INTEGER | which action of an automation
  occurrence: VARCHAR | which repetition
  platform: VARCHAR | where
  account_id: VARCHAR | from which account
  variant_id: VARCHAR | arm of the experiment
  followed_variant_id: VARCHAR | what it got because the experiment was over; in no arm's counts
  state: VARCHAR | where it stands
  reason: VARCHAR | why it was not sent
  decided_at: TIMESTAMPTZ | when it was decided
  sent_at: TIMESTAMPTZ | when the platform accepted it
--- */
select
    creator_id, id as message_id, source, source_id,
    case when source = 'campaign' then source_id end as campaign_id,
    fan_id, step, occurrence, platform, account_id, variant_id, followed_variant_id,
    state, reason, decided_at, sent_at
from source('raw.messages')

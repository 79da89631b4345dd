"""What a receipt does besides becoming an event: suppress, withdraw, open a window, prove a send.

All in the receipt's own transaction. Not here: reading receipts (`receipts`).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline.events import inbox
from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.store.address import normal

_PROOF = frozenset({"delivered", "opened", "clicked", "bought"})
"""Kinds that prove that the platform took the message."""
SIGNS = ("user_agent", "userAgent", "link", "url", "honeypot")
"""What a receipt may say by which machines are known; see rules/bots.yaml."""
_EFFECTS = {
    "bounced": text("""
        insert into suppressions (creator_id, platform, normalised, reason, created_at)
        values (:creator, :platform, :address, 'bounced', :now) on conflict do nothing
    """),
    "complained": text("""
        insert into suppressions (creator_id, platform, normalised, reason, created_at)
        values (:creator, :platform, :address, 'complained', :now) on conflict do nothing
    """),
    "replied": text("""
        update identities set last_inbound_at = greatest(last_inbound_at, :at)
        where creator_id = :creator and fan_id = :fan and platform = :platform
    """),
    "unsubscribed": text("""
        insert into consents (creator_id, fan_id, topic, granted, source, changed_at)
        select :creator, id, :topic, false, 'receipt', :at from fans
        where creator_id = :creator and id = :fan
        on conflict (creator_id, fan_id, topic) do update
            set granted = false, source = 'receipt', changed_at = excluded.changed_at
            where consents.changed_at <= excluded.changed_at
    """),
}
_SENT = text("""
    update messages set state = 'sent', reason = null, sent_at = coalesce(sent_at, :at),
        ended_at = coalesce(ended_at, :at), lease_until = null
    where creator_id = :creator and id = :id and state = 'unknown'
    returning fan_id, platform, account_id
""")


def apply(connection: Connection, kind: str, at: datetime, message: Any, now: datetime) -> None:
    """Do what a receipt of this kind entails for its message's fan and address."""
    values = {
        "creator": message.creator_id, "fan": message.fan_id, "platform": message.platform,
        "address": normal(message.address), "topic": message.topic, "id": message.id,
        "at": at, "now": now,
    }  # fmt: skip
    if kind in _EFFECTS:
        connection.execute(_EFFECTS[kind], values)
    if kind in _PROOF and connection.execute(_SENT, values).first() is not None:
        inbox.append(connection, [_proved(at, message)])


def properties(raw: Mapping[str, Any], message: Any) -> dict[str, Any]:
    """Return what an event about a message says of its origin."""
    found = {
        "automation": message.source_id if message.source == "automation" else None,
        "variant": message.variant_id,
        "template": message.template_id,
        **{name: raw.get(name) for name in SIGNS},
    }
    return {name: value for name, value in found.items() if value is not None}


def _proved(at: datetime, message: Any) -> Event:
    """The `sent` that the sender could not write, because its answer was lost."""
    return Event(
        creator_id=message.creator_id, event_id=f"sent:{message.id}", name="sent",
        fan_id=message.fan_id, platform=message.platform, account_id=message.account_id,
        message_id=message.id, occurred_at=at, source="receipt",
        campaign_id=message.source_id if message.source == "campaign" else None,
        properties=properties({}, message),
    )  # fmt: skip

"""A fan's own "no more of this", said on the link in one of our messages.

The consent for that message's topic ends, whatever the clocks of other machines say: a click is
the newest answer. Not here: who may click (the API checks the link's token).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline.delivery import effects
from huntaze_pipeline.events import inbox
from huntaze_pipeline.events.envelope import Event

_FIND = text("""
    select m.creator_id, m.id, m.fan_id, m.platform, m.account_id, m.source, m.source_id,
        m.variant_id, m.template_id, m.topic, c.name
    from messages m join creators c on c.id = m.creator_id
    where m.id = :id
""")
_WITHDRAW = text("""
    insert into consents (creator_id, fan_id, topic, granted, source, changed_at)
    select creator_id, id, :topic, false, 'link', :now from fans
    where creator_id = :creator and id = :fan
    on conflict (creator_id, fan_id, topic) do update
        set granted = false, source = 'link',
            changed_at = greatest(consents.changed_at, excluded.changed_at)
        where consents.granted
""")


@dataclass(frozen=True, slots=True)
class Subject:
    """What a link is about."""

    creator: str
    """The creator's name, as fans know it."""
    topic: str


def look_up(connection: Connection, message_id: str) -> Subject | None:
    """Return what the link of a message is about; None for a message that nobody knows."""
    message = _message(connection, message_id)
    return None if message is None else Subject(message.name, message.topic)


def withdraw(connection: Connection, message_id: str, now: datetime) -> Subject | None:
    """Withdraw the fan's consent for the message's topic; None for an unknown message.

    Doing so again changes nothing more: the event is written once per message. Messages that wait
    are stopped by the sender's own look at the consent.
    """
    message = _message(connection, message_id)
    if message is None:
        return None
    connection.execute(
        _WITHDRAW,
        {
            "creator": message.creator_id, "fan": message.fan_id, "topic": message.topic,
            "now": now,
        },
    )  # fmt: skip
    inbox.append(connection, [_event(message, now)])
    return Subject(message.name, message.topic)


def _message(connection: Connection, message_id: str) -> Any:
    return connection.execute(_FIND, {"id": message_id}).first()


def _event(message: Any, now: datetime) -> Event:
    return Event(
        creator_id=message.creator_id, event_id=f"unsubscribed:{message.id}", name="unsubscribed",
        fan_id=message.fan_id, platform=message.platform, account_id=message.account_id,
        message_id=message.id, occurred_at=now, source="api",
        campaign_id=message.source_id if message.source == "campaign" else None,
        properties=effects.properties({}, message) | {"topic": message.topic},
    )  # fmt: skip

"""The declared schemas that rules may speak of: fields of fan, event, campaign and creator.

Nothing that is not named here can appear in a condition or a message.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from enum import Enum


class Type(str, Enum):
    """What a value is, for checks before anything runs."""

    NUMBER = "number"
    TEXT = "text"
    TIME = "time"
    DATE = "date"
    BOOL = "true or false"
    LIST = "list"
    ANY = "any"
    """Read from JSON: takes the type of what it is compared with."""
    NULL = "null"


FACTS: dict[str, Type] = {
    "lifetime_spend": Type.NUMBER,
    "purchases": Type.NUMBER,
    "tips": Type.NUMBER,
    "first_purchase_at": Type.TIME,
    "last_purchase_at": Type.TIME,
    "last_active_at": Type.TIME,
    "subscribed_at": Type.TIME,
    "unsubscribed_at": Type.TIME,
    "messages_received": Type.NUMBER,
    "messages_opened": Type.NUMBER,
    "messages_clicked": Type.NUMBER,
    "last_opened_at": Type.TIME,
    "last_clicked_at": Type.TIME,
}
PROFILE: dict[str, Type] = {
    "id": Type.TEXT,
    "name": Type.TEXT,
    "zone": Type.TEXT,
    "locale": Type.TEXT,
    "birthday": Type.DATE,
    "tags": Type.LIST,
    "created_at": Type.TIME,
}
FAN: dict[str, Type] = {**PROFILE, **FACTS}
EVENT: dict[str, Type] = {
    "id": Type.TEXT,
    "name": Type.TEXT,
    "platform": Type.TEXT,
    "account_id": Type.TEXT,
    "campaign_id": Type.TEXT,
    "message_id": Type.TEXT,
    "value": Type.NUMBER,
    "currency": Type.TEXT,
    "occurred_at": Type.TIME,
}
CREATOR: dict[str, Type] = {
    "id": Type.TEXT, "name": Type.TEXT, "zone": Type.TEXT, "currency": Type.TEXT,
}  # fmt: skip
CAMPAIGN: dict[str, Type] = {
    "id": Type.TEXT, "name": Type.TEXT, "type": Type.TEXT, "template": Type.TEXT,
    "platforms": Type.LIST, "start_at": Type.TIME,
}  # fmt: skip
"""Of the campaign that the event names; nothing that changes while it runs, such as its status."""
COUNTED: dict[str, Type] = {**EVENT, "amount": Type.NUMBER}
"""An event that a behaviour counts; `amount` is another word for `value`."""
SCOPES: dict[str, dict[str, Type]] = {
    "fan": FAN, "event": EVENT, "campaign": CAMPAIGN, "creator": CREATOR,
}  # fmt: skip
EVERYWHERE = tuple(SCOPES)
"""What a rule that reacts to an event may ask about."""
OPEN: dict[str, str] = {"fan": "attributes", "event": "properties"}
"""The one field of a scope below which any name is allowed; its values are JSON."""


SEGMENT_EVENTS: tuple[str, ...] = ("entered_segment", "left_segment")
SEGMENT_EVENT: Mapping[str, Type] = {"segment": Type.TEXT, "automation": Type.TEXT}
"""What these events say, which tell of a fan coming into a segment or leaving it."""


@dataclass(frozen=True)
class Declared:
    """What rules/fields.yaml says that events and fans carry; it makes checks stricter."""

    events: Mapping[str, Mapping[str, Type]] = field(default_factory=dict)
    """Properties by event; an event that is not here may carry anything."""
    attributes: Mapping[str, Type] | None = None
    """Of fans; None: any."""
    event: str | None = None
    """The event in question."""

    def about(self, event: str | None) -> "Declared":
        """Return the same with another event in question."""
        return replace(self, event=event)

    def below(self, scope: str) -> Mapping[str, Type] | None:
        """Return what there is below `fan.attributes` or `event.properties`; None: anything."""
        return self.attributes if scope == "fan" else self.events.get(self.event or "")

    def stranger(self, event: str) -> str | None:
        """Return what is wrong with an event's name, where own events are declared."""
        own = [name for name in self.events if name.startswith("custom:")]
        if not own or not event.startswith("custom:") or event in own:
            return None
        return f"unknown event {event!r}{nearest(event, own)} (own events are in fields.yaml)"


def nearest(name: str, names: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)` or, when nothing is near, what there is to choose from."""
    known = [str(n) for n in names]
    close = get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    if not known:
        return "; there are none"
    return f"; known: {', '.join(sorted(known)[:20])}"

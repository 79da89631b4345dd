"""The events that the machinery itself leaves in a rehearsed world: sent, entered and left."""

from datetime import datetime

from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.rehearsal.cast import CREATOR
from huntaze_pipeline.rulebook.decision import Decision


def sent(decision: Decision, at: datetime) -> Event:
    """Return the event of a message that has gone, as the sender writes it."""
    origin = {
        "automation": decision.source_id if decision.source == "automation" else None,
        "variant": decision.variant_id, "template": decision.template_id,
    }  # fmt: skip
    return Event(
        creator_id=CREATOR, event_id=f"sent:{decision.message_id}", name="sent",
        fan_id=decision.fan_id, occurred_at=at, source="sender", platform=decision.platform,
        account_id=decision.account_id, message_id=decision.message_id,
        campaign_id=decision.source_id if decision.source == "campaign" else None,
        properties={name: value for name, value in origin.items() if value is not None},
    )  # fmt: skip


def moved(name: str, segment: str, fan: str, at: datetime) -> Event:
    """Return the event of a fan who entered or left a segment."""
    return Event(
        creator_id=CREATOR, event_id=f"segment:{segment}:{fan}:{name}:{at.isoformat()}", name=name,
        fan_id=fan, occurred_at=at, source="rule", properties={"segment": segment},
    )  # fmt: skip

"""A campaign's life: started, paused, resumed, cancelled; every step checked and audited.

Who gets what is `launch`; how it goes out is delivery. A paused campaign's messages stay where they
are: the sender looks at the status again before each call, so pausing works at once and resuming
continues.
"""

from collections.abc import Mapping
from datetime import datetime, time
from typing import Any, cast

from sqlalchemy import Connection, Row, select, update

from huntaze_pipeline.campaigns import lookup, schedule
from huntaze_pipeline.errors import ConflictError, NotFoundError
from huntaze_pipeline.store import audit
from huntaze_pipeline.store.outflow import CAMPAIGN_CANCELLED, Message
from huntaze_pipeline.store.people import Creator
from huntaze_pipeline.store.planning import Campaign

TRANSITIONS: Mapping[str, frozenset[str]] = {
    "start": frozenset({"draft", "scheduled", "paused"}),
    "pause": frozenset({"scheduled", "active"}),
    "cancel": frozenset({"draft", "scheduled", "active", "paused"}),
}
"""For each action, the statuses in which it is allowed. `completed` and `cancelled` are final."""


def start(
    connection: Connection,
    creator_id: str,
    campaign_id: str,
    *,
    now: datetime,
    actor: str,
    key: str | None = None,
    override_quality: str | None = None,
) -> Row[Any]:
    """Start or resume a campaign: scheduled when its date is ahead, active otherwise.

    A resumed campaign keeps the occurrence that it had not decided yet; a repetition that passed
    while it was paused is not made up for, unless its audience's gate had stopped it: that one is
    tried again. With `override_quality`, a person's reason, the next occurrence goes whatever the
    gate says; the reason is in the audit.

    With a `key`, the same request again changes nothing and returns the campaign as it is.

    Raises:
        NotFoundError: there is no such campaign.
        ConflictError: its status does not allow it, its end date has passed, or the reason to
            override its gate is blank.
    """
    if override_quality is not None and not override_quality.strip():
        raise ConflictError("say why the audience may go although its gate says no")
    row, done = _begin(connection, creator_id, campaign_id, "start", key)
    if done:
        return row
    if row.end_at is not None and row.end_at <= now:
        raise ConflictError(
            f"campaign {campaign_id} ended on {row.end_at.isoformat()}: make a new one"
        )
    due = _due(connection, creator_id, row, now)
    status = "scheduled" if due is not None and due > now else "active"
    _release(connection, row, now)
    change = {
        "status": status, "next_send_at": due, "start_at": row.start_at or now,
        "stopped": None, "waiver": override_quality,
    }  # fmt: skip
    detail = {"key": key} | ({"override_quality": override_quality} if override_quality else {})
    return _change(connection, row, change, "start", actor, now, detail)


def pause(
    connection: Connection,
    creator_id: str,
    campaign_id: str,
    *,
    now: datetime,
    actor: str,
    key: str | None = None,
) -> Row[Any]:
    """Pause a campaign: nothing of it is decided or sent until it is started again.

    Raises:
        NotFoundError: there is no such campaign.
        ConflictError: its status does not allow it.
    """
    row, done = _begin(connection, creator_id, campaign_id, "pause", key)
    if done:
        return row
    return _change(connection, row, {"status": "paused"}, "pause", actor, now, {"key": key})


def cancel(
    connection: Connection,
    creator_id: str,
    campaign_id: str,
    *,
    now: datetime,
    actor: str,
    key: str | None = None,
) -> Row[Any]:
    """Cancel a campaign for good; its waiting messages are cancelled in the same transaction.

    A message whose platform call is under way (`claimed`) cannot be called back and ends as it
    ends.

    Raises:
        NotFoundError: there is no such campaign.
        ConflictError: its status does not allow it.
    """
    row, done = _begin(connection, creator_id, campaign_id, "cancel", key)
    if done:
        return row
    stopped = connection.execute(
        update(Message)
        .where(
            Message.creator_id == creator_id,
            Message.source == "campaign",
            Message.source_id == campaign_id,
            Message.state.in_(("held", "decided", "queued")),
        )
        .values(state="cancelled", reason=CAMPAIGN_CANCELLED, ended_at=now)
    )
    change = {"status": "cancelled", "next_send_at": None}
    return _change(
        connection, row, change, "cancel", actor, now, {"messages": stopped.rowcount, "key": key}
    )


def _begin(
    connection: Connection, creator_id: str, campaign_id: str, action: str, key: str | None
) -> tuple[Row[Any], bool]:
    """Return the row, held until the transaction ends, and whether this request was done before."""
    row = lookup.find(connection, creator_id, campaign_id, lock=True)
    if row is None:
        raise NotFoundError(f"there is no campaign {campaign_id!r}")
    if key and audit.seen(connection, creator_id, f"campaign.{action}", campaign_id, key):
        return row, True
    if row.status not in TRANSITIONS[action]:
        allowed = [name for name, statuses in TRANSITIONS.items() if row.status in statuses]
        can = f"it can only {' or '.join(allowed)}" if allowed else "nothing changes it any more"
        raise ConflictError(f"campaign {campaign_id} is {row.status}; cannot {action}: {can}")
    return row, False


def _due(connection: Connection, creator_id: str, row: Row[Any], now: datetime) -> datetime | None:
    """Return when the campaign's next occurrence is to be decided; None when all have been.

    Raises:
        ConflictError: it repeats, but never before its end date.
    """
    if row.status == "paused" and row.next_send_at is None:
        return None
    if row.next_send_at is not None and (row.next_send_at > now or row.stopped is not None):
        return row.next_send_at
    zone = connection.scalar(select(Creator.zone).where(Creator.id == creator_id)) or "UTC"
    clock = row.local_time and time.fromisoformat(row.local_time)
    due = schedule.first(cast(Any, row), clock, now, zone)
    if due is None:
        raise ConflictError(f"campaign {row.id} never repeats before its end date: nothing to send")
    return due


def upcoming(connection: Connection, row: Row[Any], now: datetime) -> datetime | None:
    """Return when the next occurrence would be decided if the campaign were started now.

    None: all have been, or it is over.

    Raises:
        ConflictError: it repeats, but never before its end date.
    """
    if row.status not in TRANSITIONS["cancel"]:
        return None
    if row.status in ("scheduled", "active"):
        return row.next_send_at
    return _due(connection, row.creator_id, row, now)


def _release(connection: Connection, row: Row[Any], now: datetime) -> None:
    """Let the messages that were held by a pause go on at once."""
    connection.execute(
        update(Message)
        .where(
            Message.creator_id == row.creator_id,
            Message.source == "campaign",
            Message.source_id == row.id,
            Message.state == "decided",
            Message.reason == "campaign_paused",
        )
        .values(reason=None, not_before=now)
    )


def _change(
    connection: Connection,
    row: Row[Any],
    change: Mapping[str, Any],
    action: str,
    actor: str,
    now: datetime,
    detail: Mapping[str, Any],
) -> Row[Any]:
    connection.execute(
        update(Campaign)
        .where(Campaign.creator_id == row.creator_id, Campaign.id == row.id)
        .values(**change, updated_at=now)
    )
    told = {"from": row.status, "to": change["status"], **detail}
    audit.record(connection, row.creator_id, actor, f"campaign.{action}", row.id, now, told)
    return lookup.get(connection, row.creator_id, row.id)

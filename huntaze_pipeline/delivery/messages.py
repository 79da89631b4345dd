"""Single messages: submit, look at, cancel, try again. What the API and the command line call.

A message is checked before it is a row; every fault is named. Everything happens inside the
creator's own rows. Not here: campaigns and automations, which write decisions to the `outbox`.
"""

import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline import hashing
from huntaze_pipeline.delivery import courtesy, estimate, outbox, pauses, recipients
from huntaze_pipeline.delivery.limiter import Limits
from huntaze_pipeline.delivery.plain import storable
from huntaze_pipeline.delivery.platforms.directory import capabilities
from huntaze_pipeline.delivery.quotas import STANDARD, Quotas
from huntaze_pipeline.delivery.validation import Recipient, Request, faults, unstorable
from huntaze_pipeline.errors import ConflictError, MessageError, NotFoundError
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.rulebook.policies import Policies
from huntaze_pipeline.store import audit
from huntaze_pipeline.store.outflow import PUBLIC
from huntaze_pipeline.store.session import Store

RETRIABLE = ("failed", "unknown", "expired", "cancelled")
CANCELLABLE = ("held", "decided", "queued")
_STATUS = text("""
    select id, state, reason, platform, account_id, fan_id, priority, attempts, sent_at,
        estimated_delivery, last_error, decided_at, not_before, platform_ref
    from messages where creator_id = :creator and id = :id
""")
_CALLS = text("""
    select intent_at, result_at, outcome, status_code, detail from attempts
    where creator_id = :creator and message_id = :id order by fence
""")


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that is on its way."""

    message_id: str
    estimated_delivery: datetime | None
    known: bool = False
    """The same key had been accepted before; nothing was added."""
    status: str = "queued"


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the platform."""

    at: datetime
    ended_at: datetime | None
    outcome: str | None
    status_code: int | None
    detail: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Where a message is."""

    message_id: str
    status: str
    """queued | processing | sent | failed"""
    state: str
    """The finer state behind it."""
    reason: str | None
    platform: str
    account_id: str
    fan_id: str
    priority: str
    failures: int
    sent_at: datetime | None
    estimated_delivery: datetime | None
    last_error: str | None
    decided_at: datetime
    not_before: datetime
    platform_ref: str | None
    attempts: tuple[Call, ...]


def submit(
    store: Store,
    creator_id: str,
    request: Request,
    *,
    now: datetime,
    standard: Callable[[str], Limits] = lambda _: STANDARD,
    quotas: Quotas | None = None,
    policies: Policies | None = None,
) -> Accepted:
    """Check a message and put it in the outbox.

    A key that was seen before is answered first: whatever became of the fan since (a consent
    withdrawn, an account paused, a window closed), the same request gets the same answer.

    Args:
        store: the database.
        creator_id: whose message it is.
        request: the message as it was asked for.
        now: the present.
        standard: the platform's limits, for the estimate; not asked when there are `quotas`.
        quotas: the limits of platforms and of single accounts, for the estimate.
        policies: the gates of a topic that the request states; None: nothing is asked.

    Raises:
        MessageError: it cannot be sent as it is; every fault is named.
        ConflictError: the key was used for another message.
    """
    if odd := unstorable(request):
        raise MessageError(odd)
    with store.tenant(creator_id) as connection:
        if before := _before(connection, creator_id, request):
            return before
        found, own = recipients.find(connection, creator_id, request)
        problems = faults(request, found, capabilities(), now)
        if problems or found is None:
            raise MessageError(problems)
        decision = _decision(creator_id, request, found, now)
        if request.topic is not None and policies is not None:
            decision = courtesy.screened(connection, decision, policies, now)
        if outbox.record(connection, [decision]).known:
            return _second(connection, creator_id, request)
        usual = quotas.of(request.platform, found.account_id) if quotas else None
        limits = own(usual or standard(request.platform))
        when = estimate.delivery(
            connection, decision.message_id, found.account_id, request.priority,
            decision.not_before, now, limits,
        )  # fmt: skip
        connection.execute(
            text("update messages set estimated_delivery = :at where creator_id = :c and id = :id"),
            {"at": when, "c": creator_id, "id": decision.message_id},
        )
    return Accepted(decision.message_id, when)


def status(store: Store, creator_id: str, message_id: str) -> Status:
    """Return where a message is, with every call that was made for it.

    Raises:
        NotFoundError: the creator has no such message.
    """
    _plain(message_id)
    with store.tenant(creator_id) as connection:
        key = {"creator": creator_id, "id": message_id}
        row = connection.execute(_STATUS, key).mappings().one_or_none()
        if row is None:
            raise _missing(message_id)
        held = pauses.over(connection, row["platform"], row["account_id"])
        calls = tuple(Call(*call) for call in connection.execute(_CALLS, key))
    fields = dict(row)
    if held and fields["state"] in CANCELLABLE:
        fields["reason"] = fields["reason"] or held[0]
    return Status(
        message_id=fields.pop("id"), failures=fields.pop("attempts"), attempts=calls,
        status=PUBLIC[fields["state"]], **fields,
    )  # fmt: skip


def cancel(
    store: Store, creator_id: str, message_id: str, *, now: datetime, actor: str = "api"
) -> None:
    """Stop a message that has not been called for yet.

    Raises:
        NotFoundError: the creator has no such message.
        ConflictError: it is being sent or has ended.
    """
    values = "state = 'cancelled', reason = 'cancelled', ended_at = :now"
    _change(store, creator_id, message_id, "cancel", CANCELLABLE, values, now, actor)


def retry(
    store: Store, creator_id: str, message_id: str, *, now: datetime, actor: str = "api"
) -> None:
    """Send again what failed, expired, was cancelled, or whose answer was lost (by choice).

    Raises:
        NotFoundError: the creator has no such message.
        ConflictError: it is still on its way, was sent, or was skipped on purpose.
    """
    values = (
        "state = 'decided', reason = null, attempts = 0, not_before = :now, ended_at = null,"
        " expires_at = case when expires_at > :now then expires_at end"
    )
    _change(store, creator_id, message_id, "retry", RETRIABLE, values, now, actor)


def _change(
    store: Store, creator_id: str, message_id: str, action: str, states: tuple[str, ...],
    values: str, now: datetime, actor: str,
) -> None:  # fmt: skip
    _plain(message_id)
    key: dict[str, Any] = {"creator": creator_id, "id": message_id, "now": now}
    with store.tenant(creator_id) as connection:
        where = "where creator_id = :creator and id = :id"
        state = connection.scalar(text(f"select state from messages {where} for update"), key)
        if state is None:
            raise _missing(message_id)
        if state not in states:
            allowed = ", ".join(states)
            raise ConflictError(f"cannot {action} a message that is {state}; only {allowed}")
        connection.execute(text(f"update messages set {values} {where}"), key)
        audit.record(connection, creator_id, actor, f"message.{action}", message_id, now, {})


def _plain(message_id: str) -> None:
    """What PostgreSQL cannot be asked for is not there."""
    if storable(message_id) != message_id:
        raise _missing(message_id)


def _missing(message_id: str) -> NotFoundError:
    what = f"there is no message {message_id!r}"
    return NotFoundError(f"{what}; the id is the one that sending it told (messageId)")


def _decision(creator_id: str, request: Request, found: Recipient, now: datetime) -> Decision:
    own = request.key or uuid.uuid4().hex
    return Decision(
        creator_id=creator_id, source="api", source_id=own,
        key=str(hashing.identifier("api", creator_id, own)),
        rule_hash=_hash(request), fan_id=found.fan_id, platform=request.platform,
        account_id=found.account_id, address=found.address, content=request.content,
        subject=request.subject, priority=request.priority, topic=request.about,
        not_before=max(now, request.send_at or now), expires_at=request.expires_at,
        decided_at=now,
    )  # fmt: skip


def _hash(request: Request) -> str:
    """What was asked for, recipient and all; the key itself plays no part."""
    asked = asdict(request) | {"topic": request.about}
    return hashing.content({k: v for k, v in asked.items() if k != "key"})


def _before(connection: Connection, creator_id: str, request: Request) -> Accepted | None:
    """The key was seen before: the same request gets the same answer, another one a conflict."""
    if request.key is None:
        return None
    row = connection.execute(
        text("""select id, rule_hash, estimated_delivery, state from messages
            where creator_id = :creator and source = 'api' and source_id = :key"""),
        {"creator": creator_id, "key": request.key},
    ).one_or_none()
    if row is None:
        return None
    if row.rule_hash != _hash(request):
        raise ConflictError(f"the key {request.key!r} was used for another message")
    return Accepted(row.id, row.estimated_delivery, True, PUBLIC[row.state])


def _second(connection: Connection, creator_id: str, request: Request) -> Accepted:
    """Another request with the same key was faster, between the look-up and the write."""
    found = _before(connection, creator_id, request)
    if found is None:
        raise ConflictError(f"the key {request.key!r} was used for another message")
    return found

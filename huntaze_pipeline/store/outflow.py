"""Tables of what goes out: messages (one row per recipient), attempts, and what it costs."""

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from huntaze_pipeline.store.base import Base, Followed, Instant, Json, Micros, Now, Tenant, followed

STATES = (
    "held", "decided", "queued", "claimed", "sent", "failed", "skipped", "expired", "unknown",
    "cancelled",
)  # fmt: skip
CAMPAIGN_CANCELLED = "campaign_cancelled"
"""Why a message is cancelled, whoever meets it first: who cancels, the relay, a sender."""
FINAL = ("sent", "failed", "skipped", "expired", "unknown", "cancelled")
PUBLIC = {
    "held": "queued", "decided": "queued", "queued": "queued", "claimed": "processing",
    "sent": "sent", "failed": "failed", "skipped": "failed", "expired": "failed",
    "unknown": "failed", "cancelled": "failed",
}  # fmt: skip
"""What the public API shows for each state."""


class Message(Followed, Tenant, Base):
    """A decision about one recipient, on its way out or stopped with its reason (law 1).

    `held` rows wait for the winner of an experiment. `decided` rows wait for the relay; `skipped`
    rows are decisions not to send and keep why, and when the answer could become yes
    (`earliest_at`).
    """

    __tablename__ = "messages"
    __table_args__ = (
        followed("messages"),
        UniqueConstraint("creator_id", "source", "source_id", "fan_id", "step", "occurrence"),
        UniqueConstraint("creator_id", "idempotency_key"),
        CheckConstraint(
            "state in ('held','decided','queued','claimed','sent','failed','skipped','expired',"
            "'unknown','cancelled')",
            name="state_known",
        ),
        Index(
            "ix_messages_held",
            "creator_id",
            "source_id",
            "expires_at",
            postgresql_where=text("state = 'held'"),
        ),
        Index("ix_messages_relay", "not_before", postgresql_where=text("state = 'decided'")),
        Index(
            "ix_messages_urgent",
            "not_before",
            postgresql_where=text("state = 'decided' and priority = 'high'"),
        ),
        Index(
            "ix_messages_account",
            "account_id",
            postgresql_where=text("state in ('decided','queued','claimed')"),
        ),
        Index("ix_messages_claimed", "lease_until", postgresql_where=text("state = 'claimed'")),
        Index("ix_messages_source", "creator_id", "source", "source_id", "state"),
        Index("ix_messages_fan", "creator_id", "fan_id", "decided_at"),
        Index(
            "ix_messages_ref",
            "account_id",
            "platform_ref",
            postgresql_where=text("platform_ref is not null"),
        ),
        Index("ix_messages_queued_at", "queued_at"),
        Index("ix_messages_sent_at", "sent_at"),
        Index("ix_messages_ended_at", "ended_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    """hashing.identifier(creator, source, source_id, fan, step, occurrence), as text."""
    source: Mapped[str]
    """campaign | automation | api"""
    source_id: Mapped[str]
    """Campaign id, automation id, or for single sends the request's own key."""
    rule_hash: Mapped[str] = mapped_column(server_default="")
    fan_id: Mapped[str]
    step: Mapped[int] = mapped_column(server_default="0")
    occurrence: Mapped[str] = mapped_column(server_default="")
    """Which repetition: a recurring campaign's date, an automation's entry key."""
    platform: Mapped[str]
    account_id: Mapped[str]
    address: Mapped[str]
    variant_id: Mapped[str | None]
    """The arm that the fan is in: part of the test, counted for it."""
    followed_variant_id: Mapped[str | None]
    """What the fan gets because the test is over, winner or fallback; in no arm's counts."""
    template_id: Mapped[str | None]
    subject: Mapped[str | None]
    content: Mapped[str]
    priority: Mapped[str] = mapped_column(server_default="medium")
    """high | medium | low"""
    topic: Mapped[str] = mapped_column(server_default="marketing")
    state: Mapped[str]
    reason: Mapped[str | None] = mapped_column(Text)
    earliest_at: Mapped[Instant | None]
    not_before: Mapped[Instant]
    expires_at: Mapped[Instant | None]
    idempotency_key: Mapped[str]
    attempts: Mapped[int] = mapped_column(server_default="0")
    """Real calls that the platform failed; waits, parking and 429 never count."""
    fence: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Rises with every claim; a result with an older fence is ignored."""
    lease_until: Mapped[Instant | None]
    worker: Mapped[str | None]
    platform_ref: Mapped[str | None]
    last_error: Mapped[str | None]
    snapshot_id: Mapped[int | None] = mapped_column(BigInteger)
    decided_at: Mapped[Instant]
    queued_at: Mapped[Instant | None]
    sent_at: Mapped[Instant | None]
    ended_at: Mapped[Instant | None]
    estimated_delivery: Mapped[Instant | None]


class Attempt(Followed, Tenant, Base):
    """One call of a platform: the intent is written before it, the outcome after it.

    The limiter of record: a lost Redis is rebuilt from the rows of the last window.
    """

    __tablename__ = "attempts"
    __table_args__ = (
        followed("attempts"),
        Index("ix_attempts_account", "account_id", "intent_at"),
    )

    message_id: Mapped[str] = mapped_column(primary_key=True)
    fence: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    account_id: Mapped[str]
    worker: Mapped[str]
    intent_at: Mapped[Now]
    result_at: Mapped[Instant | None]
    outcome: Mapped[str | None]
    """sent | retry | refused | limited | unknown"""
    status_code: Mapped[int | None]
    detail: Mapped[str | None]


class Permit(Tenant, Base):
    """The right to one call, given by the books while Redis is away; the intent takes its place."""

    __tablename__ = "permits"
    __table_args__ = (Index("ix_permits_account", "account_id", "until"),)

    handle: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str]
    message_id: Mapped[str]
    until: Mapped[Instant]
    """It counts until then and one window more."""


class Rest(Tenant, Base):
    """An account that a platform asked to wait while the books did the limiting."""

    __tablename__ = "rests"

    account_id: Mapped[str] = mapped_column(primary_key=True)
    until: Mapped[Instant]


class Pause(Base):
    """What an operator has stopped: all sending, a platform, or the way in."""

    __tablename__ = "pauses"
    __table_args__ = (CheckConstraint("scope in ('all','platform','intake')", name="scope"),)

    scope: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True, server_default="")
    """The platform's; empty for the others."""
    actor: Mapped[str]
    at: Mapped[Now]


class Cost(Tenant, Base):
    """Money spent on a campaign; ROI divides by these and by nothing else."""

    __tablename__ = "costs"

    id: Mapped[str] = mapped_column(primary_key=True)
    campaign_id: Mapped[str | None]
    kind: Mapped[str]
    """fixed | per_message | discount | media"""
    amount_micros: Mapped[Micros]
    currency: Mapped[str]
    incurred_at: Mapped[Instant]
    source: Mapped[str]
    note: Mapped[str | None]


class Audit(Base):
    """Who changed what by hand: starts, pauses, cancels, overrides. Rows are only added."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    creator_id: Mapped[str | None]
    actor: Mapped[str]
    action: Mapped[str]
    target: Mapped[str]
    detail: Mapped[Json] = mapped_column(server_default=text("'{}'::jsonb"))
    at: Mapped[Now]

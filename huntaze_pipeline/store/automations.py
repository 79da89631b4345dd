"""Tables of automations: their versions, the fans on their way through them, what was done."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Identity,
    Index,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from huntaze_pipeline.store.base import Base, Followed, Instant, Json, Now, Tenant, followed


class Automation(Tenant, Base):
    """A rule that reacts to events."""

    __tablename__ = "automations"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    trigger: Mapped[Json]
    conditions: Mapped[Json] = mapped_column(server_default=text("'{}'::jsonb"))
    actions: Mapped[list[Any]] = mapped_column(JSONB)
    """The short form; empty when there are steps."""
    steps: Mapped[list[Any]] = mapped_column(JSONB, server_default=text("'[]'::jsonb"))
    settings: Mapped[Json] = mapped_column(server_default=text("'{}'::jsonb"))
    """{exit, holdout, on_change}"""
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    paused_at: Mapped[Instant | None]
    """Since when nobody enters and nobody goes on; null: it runs."""
    rule_hash: Mapped[str]
    """The live version; the text is in automation_versions."""
    updated_at: Mapped[Now]


class AutomationVersion(Tenant, Base):
    """What an automation said at some time. Rows are only added."""

    __tablename__ = "automation_versions"

    automation_id: Mapped[str] = mapped_column(primary_key=True)
    rule_hash: Mapped[str] = mapped_column(primary_key=True)
    body: Mapped[Json]
    git_commit: Mapped[str | None]
    """The commit of the files that it was applied from, where that is known."""
    created_at: Mapped[Now]


class Release(Tenant, Base):
    """One apply that changed something: what became live, from which commit. Rows are only added.

    A version of any kind of rule is found here by its hash.
    """

    __tablename__ = "releases"
    __table_args__ = (Index("ix_releases_applied_at", "creator_id", "applied_at"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    applied_at: Mapped[Instant]
    git_commit: Mapped[str | None]
    dirty: Mapped[bool] = mapped_column(server_default=text("false"))
    """The files held changes that no commit has."""
    files_hash: Mapped[str]
    live_hash: Mapped[str]
    """What was live after it (`rehearsal.standing`)."""
    changes: Mapped[list[Any]] = mapped_column(JSONB)
    """[{kind, id, action, before, after}] with the rules' hashes; of policies the `body` as well,
    for no other table keeps it."""


class Execution(Followed, Tenant, Base):
    """One fan's passage through an automation."""

    __tablename__ = "executions"
    __table_args__ = (
        followed("executions"),
        UniqueConstraint("creator_id", "automation_id", "fan_id", "entry_key"),
        Index("ix_executions_state", "creator_id", "automation_id", "state"),
        Index("ix_executions_fan", "creator_id", "fan_id", "entered_at"),
        Index(
            "ix_executions_open",
            "creator_id",
            "fan_id",
            postgresql_where=text("state in ('active','paused')"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    """hashing.identifier(creator, automation, fan, entry_key)"""
    automation_id: Mapped[str]
    rule_hash: Mapped[str]
    """The version that the fan entered with."""
    fan_id: Mapped[str]
    entry_key: Mapped[str]
    """What makes this entry unique: the event id, an order id, or 'once'; after an entry that
    exited, with '#' and the event id behind it, after a restart with '@' and the version."""
    event_id: Mapped[str | None]
    state: Mapped[str]
    """active | paused | completed | cancelled | held_out | exited (nothing could be sent; does not
    count as entry)"""
    reason: Mapped[str | None]
    """goal | exit for one that completed early; why it was cancelled or exited."""
    entered_at: Mapped[Instant]
    ended_at: Mapped[Instant | None]
    snapshot_id: Mapped[int | None] = mapped_column(BigInteger)


class Step(Tenant, Base):
    """One step of an execution: when it is due, what came of it. Rows are only added and ended."""

    __tablename__ = "steps"
    __table_args__ = (
        UniqueConstraint("creator_id", "execution_id", "turn"),
        Index("ix_steps_due", "due_at", postgresql_where=text("state = 'waiting'")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    execution_id: Mapped[str]
    turn: Mapped[int]
    """The number of the step within its execution, from 0."""
    position: Mapped[int]
    """Where it is in the program of its version."""
    rule_hash: Mapped[str | None]
    """The version by which it was put down; null: the execution's."""
    kind: Mapped[str]
    began_at: Mapped[Instant | None]
    """When the fan came to it; null: when it was due."""
    due_at: Mapped[Instant]
    awaits: Mapped[list[str] | None] = mapped_column(JSONB)
    """Names of events that can move the fan on or end its passage while it rests here."""
    state: Mapped[str]
    """waiting | held (paused) | done | skipped | cancelled | moved (to another version)"""
    reason: Mapped[str | None]
    message_id: Mapped[str | None]
    effect_id: Mapped[str | None]
    snapshot_id: Mapped[int | None] = mapped_column(BigInteger)
    done_at: Mapped[Instant | None]


class Effect(Tenant, Base):
    """What a step does besides sending: done at once when it is ours, else by a worker."""

    __tablename__ = "effects"
    __table_args__ = (
        CheckConstraint(
            "state in ('pending','applied','delivered','failed','skipped','cancelled')",
            name="state_known",
        ),
        Index("ix_effects_due", "due_at", postgresql_where=text("state = 'pending'")),
        Index("ix_effects_execution", "creator_id", "execution_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    """hashing.identifier("effect", execution, turn)"""
    execution_id: Mapped[str]
    automation_id: Mapped[str]
    fan_id: Mapped[str]
    turn: Mapped[int]
    position: Mapped[int]
    kind: Mapped[str]
    """set | tag | untag | join | leave | emit | webhook"""
    body: Mapped[Json]
    state: Mapped[str] = mapped_column(server_default="pending")
    """pending (only webhooks) | applied | delivered | failed | skipped | cancelled"""
    reason: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(server_default="0")
    rule_hash: Mapped[str]
    snapshot_id: Mapped[int | None] = mapped_column(BigInteger)
    due_at: Mapped[Instant]
    """Not before; moved on by retries."""
    decided_at: Mapped[Instant]
    done_at: Mapped[Instant | None]


class WebhookAttempt(Tenant, Base):
    """One try at delivering a webhook. Rows are only added."""

    __tablename__ = "webhook_attempts"

    effect_id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    """1 is the first."""
    at: Mapped[Instant]
    status: Mapped[int | None]
    """Of the answer; null: there was none."""
    reason: Mapped[str | None]
    """Why it did not succeed."""
    answer: Mapped[str]
    """How the answer began."""
    took_ms: Mapped[int]

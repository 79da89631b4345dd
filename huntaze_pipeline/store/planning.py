"""Tables of what is meant to happen: templates, campaigns, variants, segments, automations.

`rule_hash` is the content hash of the file or request that defined the row, so that every decision
can name the exact text behind it.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Float,
    ForeignKeyConstraint,
    Identity,
    Index,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from huntaze_pipeline.store.base import Base, Followed, Instant, Json, Now, Tenant, followed

CAMPAIGN_STATUSES = ("draft", "scheduled", "active", "paused", "completed", "cancelled")


class CampaignTemplate(Tenant, Base):
    """Content that is ready to use: per platform and locale, with its declared variables."""

    __tablename__ = "templates"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    category: Mapped[str]
    content: Mapped[Json]
    """{platform: {locale: {subject?, body}}}"""
    platforms: Mapped[list[str]]
    default_settings: Mapped[Json] = mapped_column(server_default=text("'{}'::jsonb"))
    variables: Mapped[list[Any]] = mapped_column(JSONB, server_default=text("'[]'::jsonb"))
    rule_hash: Mapped[str]
    updated_at: Mapped[Now]


class Campaign(Tenant, Base):
    """A planned send to an audience."""

    __tablename__ = "campaigns"
    __table_args__ = (
        CheckConstraint(
            "status in ('draft','scheduled','active','paused','completed','cancelled')",
            name="status_known",
        ),
        Index("ix_campaigns_due", "status", "next_send_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    type: Mapped[str] = mapped_column(server_default="broadcast")
    status: Mapped[str] = mapped_column(server_default="draft")
    platforms: Mapped[list[str]]
    template_id: Mapped[str | None]
    start_at: Mapped[Instant | None]
    end_at: Mapped[Instant | None]
    recurring: Mapped[str | None]
    """daily | weekly | a cron line in the creator's zone"""
    local_time: Mapped[str | None]
    """18:00: goes at this time of each fan's own clock; then occurrences are days, and
    `next_send_at` is shortly before the first clock on earth shows it on that day."""
    next_send_at: Mapped[Instant | None]
    """The next occurrence that has not been decided yet."""
    targeting: Mapped[Json] = mapped_column(server_default=text("'{}'::jsonb"))
    """{segmentIds: [...], excludeSegmentIds: [...], cap: n}"""
    settings: Mapped[Json] = mapped_column(server_default=text("'{}'::jsonb"))
    """{topic, priority, expires_after, variables, holdout, costs, goal}"""
    metrics: Mapped[Json] = mapped_column(server_default=text("'{}'::jsonb"))
    """Settled {sent, opened, clicked, converted, revenue_micros, as_of}, written by measurement."""
    conversions: Mapped[int] = mapped_column(BigInteger, server_default="0")
    source: Mapped[str] = mapped_column(server_default="api")
    """api | rules | import:<id>"""
    rule_hash: Mapped[str] = mapped_column(server_default="")
    stopped: Mapped[Json | None]
    """{reason, failed: [...], due_at, at}: why the audience's gate paused it; null otherwise."""
    waiver: Mapped[str | None]
    """Why a person lets the next occurrence go although its audience fails the gate."""
    created_at: Mapped[Now]
    updated_at: Mapped[Now]


class Experiment(Tenant, Base):
    """An A/B test of a campaign and the rule, fixed beforehand, by which it is decided."""

    __tablename__ = "experiments"
    __table_args__ = (
        ForeignKeyConstraint(
            ["creator_id", "campaign_id"],
            ["campaigns.creator_id", "campaigns.id"],
            ondelete="CASCADE",
        ),
        CheckConstraint("share > 0 and share <= 1", name="share_known"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    campaign_id: Mapped[str]
    metric: Mapped[str] = mapped_column(server_default="clicked")
    """opened | clicked | converted | revenue"""
    share: Mapped[float] = mapped_column(Float, server_default="1")
    """Part of the audience that is in the test; the rest waits for the winner."""
    window_s: Mapped[int]
    """A recipient counts once this long has passed since its own send."""
    planned_n: Mapped[int | None]
    """Recipients planned in all arms; null means open-ended (always-valid inference). A campaign
    that goes once gets it at launch, when nothing has been measured yet."""
    alpha: Mapped[float] = mapped_column(Float, server_default="0.05")
    minimum_s: Mapped[int] = mapped_column(server_default="86400")
    """No verdict earlier than this after the start; a full day unless the rule says otherwise."""
    maximum_s: Mapped[int | None]
    """The test is over this long after its start, whatever was found; null: when all are in."""
    method: Mapped[str | None]
    """group_sequential | always_valid | exact; null: chosen from the plan and the arms."""
    tuning: Mapped[float] = mapped_column(Float, server_default="5000")
    """N* of the always-valid method, fixed before the start."""
    margin: Mapped[float | None] = mapped_column(Float)
    """Absolute difference that does not matter; null: `no_difference` is never claimed."""
    guardrail_margin: Mapped[float] = mapped_column(Float, server_default="0.01")
    """How much higher (absolute) a winner's rate of unsubscribes and complaints may be."""
    fallback: Mapped[str] = mapped_column(server_default="control")
    """What is sent when nothing wins: control | highest | none | a variant's id."""
    state: Mapped[str] = mapped_column(server_default="running")
    """running | maturing | winner | no_difference | no_winner | invalid_srm | insufficient_data |
    stopped_by_guardrail"""
    winner_variant_id: Mapped[str | None]
    fallback_variant_id: Mapped[str | None]
    """What is sent instead, once the test has ended without a winner."""
    started_at: Mapped[Instant | None]
    decided_at: Mapped[Instant | None]


class Variant(Tenant, Base):
    """One arm of a campaign's experiment."""

    __tablename__ = "variants"
    __table_args__ = (
        ForeignKeyConstraint(
            ["creator_id", "campaign_id"],
            ["campaigns.creator_id", "campaigns.id"],
            ondelete="CASCADE",
        ),
        CheckConstraint("weight >= 0", name="weight_not_negative"),
    )

    campaign_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    """0 is the control."""
    weight: Mapped[float] = mapped_column(Float, server_default="1")
    template_id: Mapped[str | None]
    variables: Mapped[Json] = mapped_column(server_default=text("'{}'::jsonb"))


class Allocation(Tenant, Base):
    """The split of a test from some moment on; none while it is the one of its variants' rows."""

    __tablename__ = "allocations"
    __table_args__ = (
        ForeignKeyConstraint(
            ["creator_id", "campaign_id"],
            ["campaigns.creator_id", "campaigns.id"],
            ondelete="CASCADE",
        ),
        CheckConstraint("weight >= 0", name="weight_not_negative"),
    )

    campaign_id: Mapped[str] = mapped_column(primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True)
    """0 is the split at the start."""
    variant_id: Mapped[str] = mapped_column(primary_key=True)
    weight: Mapped[float] = mapped_column(Float)
    since: Mapped[Instant]


class Look(Tenant, Base):
    """One evaluation of an experiment, kept whole: re-running it gives the same row."""

    __tablename__ = "looks"

    experiment_id: Mapped[str] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    counts: Mapped[Json]
    result: Mapped[Json]
    looked_at: Mapped[Instant]


class Segment(Tenant, Base):
    """A named set of fans."""

    __tablename__ = "segments"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    criteria: Mapped[Json]
    """{where: expression} | {fans: [ids]}"""
    is_dynamic: Mapped[bool] = mapped_column(server_default=text("true"))
    rule_hash: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger, server_default="0")
    refreshed_at: Mapped[Instant | None]


class SegmentVersion(Tenant, Base):
    """What a segment asked, from one refresh on; the last one is live."""

    __tablename__ = "segment_versions"

    segment_id: Mapped[str] = mapped_column(primary_key=True)
    live_at: Mapped[Instant] = mapped_column(primary_key=True)
    rule_hash: Mapped[str]
    criteria: Mapped[Json]


class Member(Followed, Tenant, Base):
    """A fan's stay in a segment; closed, never deleted, so that any moment can be asked for."""

    __tablename__ = "members"
    __table_args__ = (
        followed("members"),
        Index(
            "ix_members_current",
            "creator_id",
            "segment_id",
            "fan_id",
            unique=True,
            postgresql_where=text("left_at is null"),
        ),
        Index("ix_members_fan", "creator_id", "fan_id"),
    )

    segment_id: Mapped[str] = mapped_column(primary_key=True)
    fan_id: Mapped[str] = mapped_column(primary_key=True)
    entered_at: Mapped[Instant] = mapped_column(primary_key=True)
    left_at: Mapped[Instant | None]


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
        Index("ix_executions_fan", "creator_id", "fan_id"),
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


class Enrolment(Tenant, Base):
    """A fan whom a rule put into a static segment, or took out of it: the newest word."""

    __tablename__ = "enrolments"

    segment_id: Mapped[str] = mapped_column(primary_key=True)
    fan_id: Mapped[str] = mapped_column(primary_key=True)
    joined: Mapped[bool]
    effect_id: Mapped[str]
    changed_at: Mapped[Instant]

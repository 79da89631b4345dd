"""Tables of what is meant to go out: templates, campaigns, experiments and their variants.

`rule_hash` is the content hash of the file or request that defined the row, so that every decision
can name the exact text behind it.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Float,
    ForeignKeyConstraint,
    Index,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from huntaze_pipeline.store.base import Base, Instant, Json, Now, Tenant

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

"""Tables of the clock: which triggers wait for a time, and what came of each moment."""

from datetime import timedelta

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index, Interval, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from huntaze_pipeline.store.base import Base, Instant, Json, Now, Tenant


class Clock(Tenant, Base):
    """A trigger of live automations that waits for a time; those that say the same share it."""

    __tablename__ = "clocks"
    __table_args__ = (Index("ix_clocks_next", "next_at"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    """Content hash of the trigger."""
    trigger: Mapped[Json]
    since: Mapped[Instant]
    """Moments after this count."""
    done_to: Mapped[Instant]
    """Moments up to this have been put down as occasions."""
    next_at: Mapped[Instant | None]
    """When to look again; null: a silence, which waits for its fans."""
    awaits: Mapped[list[str] | None] = mapped_column(JSONB)
    """Of a silence: names of the events that break it."""
    span: Mapped[timedelta | None] = mapped_column(Interval)
    """Of a silence: how long."""
    late: Mapped[timedelta | None] = mapped_column(Interval)
    """How late a moment may still be acted on; null: what its kind says."""
    ready: Mapped[bool] = mapped_column(server_default=text("true"))
    """False: a silence whose fans are not all known yet."""


class Occasion(Tenant, Base):
    """A moment of a clock in one zone: everybody there gets an event. Rows are kept."""

    __tablename__ = "occasions"
    __table_args__ = (Index("ix_occasions_open", "at", postgresql_where=text("state = 'open'")),)

    clock_id: Mapped[str] = mapped_column(primary_key=True)
    zone: Mapped[str] = mapped_column(primary_key=True)
    """As fans have it; '-': fans without one, '*': everybody."""
    name: Mapped[str] = mapped_column(primary_key=True)
    """The wall-clock time, such as 2026-03-06T18:00."""
    at: Mapped[Instant]
    expires_at: Mapped[Instant | None]
    state: Mapped[str]
    """open (events are being made) | made | missed (too late to act on)"""
    cursor: Mapped[str] = mapped_column(server_default="")
    """The last fan who got an event."""
    fans: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """How many events were made."""
    times: Mapped[int] = mapped_column(server_default="1")
    """How many moments a missed row stands for, or for a silence how many fans."""
    created_at: Mapped[Now]


class Quiet(Tenant, Base):
    """A fan whose silence a clock measures."""

    __tablename__ = "silences"
    __table_args__ = (
        ForeignKeyConstraint(
            ["creator_id", "clock_id"], ["clocks.creator_id", "clocks.id"], ondelete="CASCADE"
        ),
        Index("ix_silences_due", "due_at", postgresql_where=text("due_at is not null")),
    )

    clock_id: Mapped[str] = mapped_column(primary_key=True)
    fan_id: Mapped[str] = mapped_column(primary_key=True)
    last_at: Mapped[Instant]
    """The newest event that broke the silence."""
    due_at: Mapped[Instant | None]
    """When it is long enough; null: this silence has been told, or was over before the rule."""

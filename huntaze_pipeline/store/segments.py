"""Tables of segments: what they ask, and which fans were in them when."""

from sqlalchemy import (
    BigInteger,
    Index,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from huntaze_pipeline.store.base import Base, Followed, Instant, Json, Tenant, followed


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


class Enrolment(Tenant, Base):
    """A fan whom a rule put into a static segment, or took out of it: the newest word."""

    __tablename__ = "enrolments"

    segment_id: Mapped[str] = mapped_column(primary_key=True)
    fan_id: Mapped[str] = mapped_column(primary_key=True)
    joined: Mapped[bool]
    effect_id: Mapped[str]
    changed_at: Mapped[Instant]

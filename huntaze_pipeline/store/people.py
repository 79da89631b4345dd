"""Tables of who sends and who receives: creators, accounts, fans, identities, consents."""

from datetime import date

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    UniqueConstraint,
    text,
)
from sqlalchemy import (
    Identity as Numbered,
)
from sqlalchemy.orm import Mapped, mapped_column

from huntaze_pipeline.store.base import Base, Followed, Instant, Json, Now, Tenant, followed

PLATFORMS = ("onlyfans", "instagram", "tiktok", "email")


class Creator(Base):
    """The tenant: a creator, or the agency that runs several accounts."""

    __tablename__ = "creators"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    zone: Mapped[str] = mapped_column(server_default="UTC")
    currency: Mapped[str] = mapped_column(server_default="USD")
    key_hash: Mapped[str | None] = mapped_column(unique=True)
    """SHA-256 of the API key; the key itself is shown once and kept nowhere."""
    created_at: Mapped[Now]


class Account(Tenant, Base):
    """A sending account on a platform: what the platform limits and what it can ban."""

    __tablename__ = "accounts"
    __table_args__ = (
        UniqueConstraint("id"),
        UniqueConstraint("platform", "handle"),
        CheckConstraint("limit_count > 0 and limit_window_s > 0", name="limit_positive"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    """Unique across creators: the limiter, SQS group and the platform know it by this id."""
    platform: Mapped[str]
    handle: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="active")
    """active | paused | banned"""
    limit_count: Mapped[int | None]
    limit_window_s: Mapped[int | None]
    """Null: the platform's limit in rules/policies.yaml."""
    created_at: Mapped[Now]


class Fan(Followed, Tenant, Base):
    """A recipient, known to one creator by that creator's own id."""

    __tablename__ = "fans"
    __table_args__ = (followed("fans"), Index("ix_fans_zone", "creator_id", "zone", "id"))

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    zone: Mapped[str | None]
    """IANA zone; null means unknown, and the creator's zone is used."""
    locale: Mapped[str | None]
    birthday: Mapped[date | None]
    subscribed_at: Mapped[Instant | None]
    attributes: Mapped[Json] = mapped_column(server_default=text("'{}'::jsonb"))
    tags: Mapped[list[str]] = mapped_column(server_default=text("'[]'::jsonb"))
    created_at: Mapped[Now]
    updated_at: Mapped[Now]


class Identity(Followed, Tenant, Base):
    """A fan's address on a platform, and the account of ours that talks to it."""

    __tablename__ = "identities"
    __table_args__ = (
        followed("identities"),
        ForeignKeyConstraint(
            ["creator_id", "fan_id"], ["fans.creator_id", "fans.id"], ondelete="CASCADE"
        ),
        UniqueConstraint("creator_id", "platform", "account_id", "normalised"),
        Index("ix_identities_address", "platform", "normalised"),
    )

    fan_id: Mapped[str] = mapped_column(primary_key=True)
    platform: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str]
    address: Mapped[str]
    normalised: Mapped[str]
    """Lower case, trimmed: two spellings of one address are one recipient."""
    last_inbound_at: Mapped[Instant | None]
    """When the fan last wrote to us there; opens Instagram's 24 h window."""


class Consent(Followed, Tenant, Base):
    """Whether a fan agreed to a topic; the newest answer wins."""

    __tablename__ = "consents"
    __table_args__ = (
        followed("consents"),
        ForeignKeyConstraint(
            ["creator_id", "fan_id"], ["fans.creator_id", "fans.id"], ondelete="CASCADE"
        ),
    )

    fan_id: Mapped[str] = mapped_column(primary_key=True)
    topic: Mapped[str] = mapped_column(primary_key=True)
    granted: Mapped[bool]
    source: Mapped[str]
    changed_at: Mapped[Now]


class Barred(Base):
    """An address that no creator of the agency may write to; the machinery's list, no tenant's."""

    __tablename__ = "barred"

    platform: Mapped[str] = mapped_column(primary_key=True)
    normalised: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str]
    created_at: Mapped[Now]


class Suppression(Tenant, Base):
    """An address that must never be written to again, whoever asks."""

    __tablename__ = "suppressions"

    platform: Mapped[str] = mapped_column(primary_key=True)
    normalised: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str]
    created_at: Mapped[Now]


class Former(Tenant, Base):
    """What a row said before it changed or went; written by a trigger, never changed.

    A moment's own row is the one with the earliest `until` after it; without any, today's.
    """

    __tablename__ = "former"
    __table_args__ = (Index("ix_former_id", "creator_id", "kind", "id", "until"),)

    n: Mapped[int] = mapped_column(BigInteger, Numbered(always=True), primary_key=True)
    kind: Mapped[str]
    """The table: fans, identities, consents, suppressions, accounts or templates."""
    id: Mapped[str]
    """The row's key without the creator, its parts joined by the unit separator (31)."""
    body: Mapped[Json]
    until: Mapped[Instant]

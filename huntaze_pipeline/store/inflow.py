"""Tables of what comes in: inbox, imports, quarantine, results of checks, readers' checkpoints."""

from typing import Annotated, Any

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import UserDefinedType

from huntaze_pipeline.store.base import Base, Instant, Json, Micros, Now, Tenant

Counted = Annotated[int, mapped_column(BigInteger, server_default=text("0"))]
Listed = Annotated[list[str], mapped_column(ARRAY(Text), server_default=text("'{}'"))]


class Xid8(UserDefinedType[str]):
    """PostgreSQL's 64-bit transaction id; orders rows by the transaction that wrote them."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """Return the type's name in DDL."""
        return "xid8"


PGDialect.ischema_names["xid8"] = Xid8  # so that comparing a database with the tables knows it


class InboxEvent(Tenant, Base):
    """A fact about a fan, as it arrived. Append-only.

    Readers take rows in (tx, id) order and only those with tx below the oldest transaction still
    open (`pg_snapshot_xmin`): a row that commits late is never stepped over.
    """

    __tablename__ = "inbox"
    __table_args__ = (
        UniqueConstraint("creator_id", "event_id"),
        Index("ix_inbox_arrival", "tx", "id"),
        Index(
            "ix_inbox_campaign",
            "creator_id",
            "campaign_id",
            "name",
            postgresql_where=text("campaign_id is not null"),
        ),
        Index("ix_inbox_fan", "creator_id", "fan_id", "occurred_at"),
        CheckConstraint("value_micros is null or currency is not null", name="money_has_currency"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    tx: Mapped[str] = mapped_column(Xid8(), server_default=text("pg_current_xact_id()"))
    event_id: Mapped[str]
    """The sender's id of the fact; the second arrival of the same id changes nothing."""
    name: Mapped[str]
    fan_id: Mapped[str]
    platform: Mapped[str | None]
    account_id: Mapped[str | None]
    campaign_id: Mapped[str | None]
    message_id: Mapped[str | None]
    value_micros: Mapped[Micros | None]
    currency: Mapped[str | None]
    occurred_at: Mapped[Instant]
    received_at: Mapped[Now]
    properties: Mapped[Json] = mapped_column(server_default=text("'{}'::jsonb"))
    source: Mapped[str]
    """api | receipt | sender | rule | clock | import:<id>"""


class Import(Tenant, Base):
    """One file taken in with one mapping. The pair (content, mapping) is taken once."""

    __tablename__ = "imports"
    __table_args__ = (UniqueConstraint("creator_id", "content_hash", "mapping_hash"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    path: Mapped[str]
    content_hash: Mapped[str]
    mapping_hash: Mapped[str]
    kind: Mapped[str]
    """events | fans | campaigns | costs | audience"""
    state: Mapped[str]
    """running | done | failed"""
    rows: Mapped[int] = mapped_column(BigInteger, server_default="0")
    kept: Mapped[int] = mapped_column(BigInteger, server_default="0")
    known: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Rows that were already there."""
    rejected: Mapped[int] = mapped_column(BigInteger, server_default="0")
    started_at: Mapped[Now]
    finished_at: Mapped[Instant | None]
    error: Mapped[str | None]


class Quarantine(Tenant, Base):
    """A row that could not be taken, whole, with the reason; it can be replayed after a fix."""

    __tablename__ = "quarantine"
    __table_args__ = (
        Index("ix_quarantine_open", "creator_id", "import_id", "state"),
        Index(
            "ix_quarantine_inbox",
            "row",
            unique=True,
            postgresql_where=text("import_id = 'inbox'"),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    import_id: Mapped[str]
    """An import's id, or `inbox` for a live event."""
    file: Mapped[str]
    row: Mapped[int] = mapped_column(BigInteger)
    """1 is the first data row; of the inbox, the event's own id there."""
    field: Mapped[str]
    reason: Mapped[str]
    raw: Mapped[dict[str, Any]] = mapped_column(JSONB)
    state: Mapped[str] = mapped_column(server_default="open")
    """open | replayed | dropped"""
    created_at: Mapped[Now]


class Check(Base):
    """What came of one expectation on one batch. Rows without a creator are the machinery's."""

    __tablename__ = "checks"
    __table_args__ = (
        Index("ix_checks_at", "at"),
        Index("ix_checks_suite", "suite", "judge"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    """hashing.identifier of all that names the check: the same one again replaces its result."""
    creator_id: Mapped[str | None]
    suite: Mapped[str]
    subject: Mapped[str]
    """import:<id> | inbox:<tx>:<id> | arrival:<n>-<n> | campaign:<id>:<occurrence> | file:<name>"""
    judge: Mapped[str]
    """gate | great_expectations"""
    expectation: Mapped[str]
    severity: Mapped[str]
    """error | warn"""
    success: Mapped[bool]
    rows: Mapped[int] = mapped_column(BigInteger)
    unexpected: Mapped[int] = mapped_column(BigInteger)
    examples: Mapped[list[Any]] = mapped_column(JSONB, server_default=text("'[]'::jsonb"))
    at: Mapped[Now]


class Tally(Tenant, Base):
    """The facts of one fan, as `rulebook.facts` declares them, up to where automations have read.

    Kept so that a batch reads a row a fan; all of it can be counted anew from lake and inbox.
    """

    __tablename__ = "tallies"

    fan_id: Mapped[str] = mapped_column(primary_key=True)
    lifetime_spend: Mapped[Counted]
    purchases: Mapped[Counted]
    tips: Mapped[Counted]
    first_purchase_at: Mapped[Instant | None]
    last_purchase_at: Mapped[Instant | None]
    last_active_at: Mapped[Instant | None]
    subscribed_at: Mapped[Instant | None]
    unsubscribed_at: Mapped[Instant | None]
    last_opened_at: Mapped[Instant | None]
    last_clicked_at: Mapped[Instant | None]
    messages_received: Mapped[Listed]
    messages_opened: Mapped[Listed]
    messages_clicked: Mapped[Listed]
    imported: Mapped[list[int]] = mapped_column(ARRAY(BigInteger), server_default=text("'{}'"))
    """Fingerprints of the events that files brought: those of the inbox must not count again."""


class Checkpoint(Base):
    """How far a reader has come. Moved only in the transaction that confirms the work behind it."""

    __tablename__ = "checkpoints"

    name: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[Json] = mapped_column(server_default=text("'{}'::jsonb"))
    updated_at: Mapped[Now]

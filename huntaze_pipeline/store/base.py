"""What every table shares: metadata, column types and the tenant key. Tables are beside it.

Ids that people write (creator, fan, campaign, segment, …) are text and unique within their
creator, so a primary key is (creator_id, id): a row cannot be addressed without naming its tenant.
Money is integer micro-units of the row's currency. Instants are timestamptz.
"""

from datetime import datetime
from typing import Annotated, Any

from sqlalchemy import BigInteger, DateTime, ForeignKey, Index, MetaData, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Json = dict[str, Any]
Instant = Annotated[datetime, mapped_column(DateTime(timezone=True))]
Micros = Annotated[int, mapped_column(BigInteger)]
Now = Annotated[datetime, mapped_column(DateTime(timezone=True), server_default=func.now())]
CreatorKey = Annotated[
    str, mapped_column(Text, ForeignKey("creators.id", ondelete="CASCADE"), primary_key=True)
]


class Base(DeclarativeBase):
    """The root of all tables; constraint names are fixed so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {str: Text, dict: JSONB, Json: JSONB, list[str]: JSONB, list[Any]: JSONB}


class Tenant:
    """Mixin of the tables that belong to one creator; row-level security is on for all of them."""

    creator_id: Mapped[CreatorKey]


class Followed:
    """Mixin of large tables that the warehouse copies by what changed."""

    tx: Mapped[int] = mapped_column(
        BigInteger, server_default=text("pg_current_xact_id()::text::bigint")
    )
    """The transaction that wrote the row last; a trigger keeps it."""


def followed(table: str) -> Index:
    """Return the index that finds what changed: it costs a write next to nothing."""
    return Index(
        f"ix_{table}_tx",
        "tx",
        postgresql_using="brin",
        postgresql_ops={"tx": "int8_minmax_multi_ops"},
        postgresql_with={"pages_per_range": 16, "autosummarize": "on"},
    )


def tenant_tables() -> list[str]:
    """Return the names of all tables that carry `creator_id`."""
    return sorted(t.name for t in Base.metadata.tables.values() if "creator_id" in t.columns)

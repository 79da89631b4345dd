"""Pauses of platforms, of everything, and of the way in.

Revision ID: 0013_pauses
"""

import sqlalchemy as sa
from alembic import op

revision = "0013_pauses"
down_revision = "0012_permits"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pauses",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint("scope in ('all','platform','intake')", name=op.f("ck_pauses_scope")),
        sa.PrimaryKeyConstraint("scope", "name", name=op.f("pk_pauses")),
    )
    op.execute("grant select on pauses to huntaze_app")
    op.execute("grant select, insert, update, delete on pauses to huntaze_worker")


def downgrade() -> None:
    op.drop_table("pauses")

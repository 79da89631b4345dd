"""Campaigns on each fan's own clock, and addresses that nobody may write to whoever they are with.

Revision ID: 0009_campaigns
"""

import sqlalchemy as sa
from alembic import op

revision = "0009_campaigns"
down_revision = "0008_segments"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("local_time", sa.Text(), nullable=True))
    op.create_table(
        "barred",
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("normalised", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("platform", "normalised", name=op.f("pk_barred")),
    )
    # The agency's own list: every creator's messages are held against it, only the machinery writes.
    op.execute("grant select on barred to huntaze_app")
    op.execute("grant select, insert, update, delete on barred to huntaze_worker")


def downgrade() -> None:
    op.drop_table("barred")
    op.drop_column("campaigns", "local_time")

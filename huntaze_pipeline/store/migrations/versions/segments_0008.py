"""Keep every definition that a segment ever had, and since when.

Revision ID: 0008_segments
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008_segments"
down_revision = "0007_timing"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "segment_versions",
        sa.Column("segment_id", sa.Text(), nullable=False),
        sa.Column("live_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rule_hash", sa.Text(), nullable=False),
        sa.Column("criteria", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["creator_id"],
            ["creators.id"],
            name=op.f("fk_segment_versions_creator_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "segment_id", "live_at", "creator_id", name=op.f("pk_segment_versions")
        ),
    )
    mine = "creator_id = current_setting('huntaze.creator_id', true)"
    op.execute("alter table segment_versions enable row level security")
    op.execute("alter table segment_versions force row level security")
    op.execute(f"create policy tenant on segment_versions to huntaze_app using ({mine})")
    op.execute("create policy machinery on segment_versions to huntaze_worker using (true)")
    op.execute("grant select on segment_versions to huntaze_app")
    op.execute("grant select, insert, update, delete on segment_versions to huntaze_worker")


def downgrade() -> None:
    op.drop_table("segment_versions")
